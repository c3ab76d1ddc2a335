// An initiator and an acceptor joined by a line on which a test may change frames.
#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "peer/handshake.h"
#include "tests/peer/samples.h"

namespace leto::peer::test {

// Carries frames between the two until neither has more to say. `touch` may change a frame under way.
class Line {
 public:
  Line(Hello hello, AcceptorSetup setup, std::string secret = std::string(kSecret), uint16_t initiators_level = 1)
      : initiator(std::move(hello), std::move(secret), initiators_level), acceptor(std::move(setup)) {}

  void run() {
    std::string bytes;
    initiator.start(bytes);
    deliver(bytes);
  }

  // Delivers what the initiator said, then the answers, and so on.
  void deliver(std::string bytes) {
    for (bool to_acceptor = true; !bytes.empty(); to_acceptor = !to_acceptor) {
      std::string answer;
      for (const OwnedFrame& sent : cut(bytes)) {
        OwnedFrame frame = sent;
        if (touch) touch(frame);
        seen.push_back(frame);
        if (to_acceptor) {
          if (acceptor.step() == HandshakeStep::kGoOn) acceptor.on_frame(frame.view(), answer);
        } else if (initiator.step() == HandshakeStep::kGoOn) {
          initiator.on_frame(frame.view(), answer);
        }
      }
      bytes = answer;
    }
  }

  Initiator initiator;
  Acceptor acceptor;
  std::function<void(OwnedFrame&)> touch;
  std::vector<OwnedFrame> seen;
};

// Both ended with this refusal, said by the one and heard by the other.
inline void check_both_failed(const Line& line, RefusalCode code, bool acceptor_said_it) {
  REQUIRE(line.initiator.step() == HandshakeStep::kFailed);
  REQUIRE(line.acceptor.step() == HandshakeStep::kFailed);
  CHECK(line.initiator.refusal().code == code);
  CHECK(line.acceptor.refusal().code == code);
  CHECK(line.initiator.refusal().by_peer == acceptor_said_it);
  CHECK(line.acceptor.refusal().by_peer != acceptor_said_it);
  CHECK(line.initiator.refusal().sentence == line.acceptor.refusal().sentence);
}

}  // namespace leto::peer::test
