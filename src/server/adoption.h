// Asks who is at a peer address, and takes that node into this cluster if it is in none of its own. One
// attempt, one answer. Refuses to know what becomes of the member in the configuration.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "peer/frame.h"
#include "peer/handshake.h"
#include "raft/types.h"
#include "server/caller.h"
#include "server/environment.h"

namespace leto::server {

class Peers;

class Adoption final : private Caller {
 public:
  static constexpr uint64_t kTimeoutMs = 3000;

  // `done` is called once, not from within the constructor. Destroying this gives up silently.
  Adoption(Peers& peers, Network::AdoptionWish wish, Network::Dialed done);
  ~Adoption();

  bool finished() const { return done_ == nullptr; }

 private:
  void on_reached() override;
  void on_bytes(std::string_view bytes) override;
  void on_failure(const std::string& why) override;
  void nobody_answers(const std::string& why);

  void on_client_port(std::string_view answer);
  void on_frame(const peer::Frame& frame);
  void on_challenge(std::string& answer);
  void on_refusal();
  // Why the node that answered cannot be taken in; empty if it can.
  std::string objection(const peer::Challenge& challenge) const;
  void succeed();
  void finish(base::Result<Network::Found> result);

  Peers& peers_;
  const Network::AdoptionWish wish_;
  Network::Dialed done_;
  Timer timer_;
  peer::FrameReader frames_;
  peer::Initiator handshake_;
  bool reached_ = false;
};

}  // namespace leto::server
