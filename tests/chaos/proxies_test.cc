// The proxies between nodes of a chaos run: one that passed on what is cut would make the run mean nothing.
#include <doctest/doctest.h>

#include "peer/frame.h"
#include "peer/handshake_message.h"
#include "tests/chaos/network.h"

namespace leto::chaos {

namespace {

constexpr Milliseconds kSoon = 5000, kNever = 150;

// Node 1 dials node 2 at the address that node 2 advertises.
struct Pair {
  Pair() {
    network = std::move(make_proxies(loop, 2).value());
    const std::vector<std::string> options = network->options(2);
    const auto port_of = [&options](size_t at) {
      return static_cast<uint16_t>(std::stoi(options.at(at).substr(options.at(at).find(':') + 1)));
    };
    listener = std::make_unique<Listener>(loop, [this](int descriptor) {
      accepted = Stream::adopt(loop, descriptor, {.on_bytes = [this](std::string_view bytes) { at_two += bytes; },
                                                  .on_closed = [this] { lost_by_two = true; }});
    }, port_of(3));
    dialed = Stream::dial(loop, {"127.0.0.1", port_of(5)}, {.on_bytes = [this](std::string_view bytes) { at_one += bytes; },
                                                            .on_closed = [this] { lost_by_one = true; }});
    peer::Hello hello;
    hello.initiator = {.node = 1, .id = "n1"};
    hello.nonce.assign(peer::kNonceBytes, 'n');
    peer::put_frame(greeting, peer::FrameType::kHello, peer::encode_payload(hello));
    dialed->send(greeting);
  }
  bool comes(const std::string& text, const std::string& expected, Milliseconds length) {
    return loop.run_until(length, [&] { return text == expected; });
  }

  Loop loop;
  std::unique_ptr<Network> network;
  std::unique_ptr<Listener> listener;
  std::shared_ptr<Stream> dialed, accepted;
  std::string greeting, at_one, at_two;
  bool lost_by_one = false, lost_by_two = false;
};

}  // namespace

TEST_CASE("a proxy passes on both ways what is not cut, the Hello first") {
  Pair pair;
  REQUIRE(pair.comes(pair.at_two, pair.greeting, kSoon));
  pair.accepted->send("challenge");
  CHECK(pair.comes(pair.at_one, "challenge", kSoon));
}

TEST_CASE("a proxy holds back what is cut one way, passes on the other way, and lets go after the healing") {
  Pair pair;
  REQUIRE(pair.comes(pair.at_two, pair.greeting, kSoon));
  pair.network->cut(1, 2, Cut::kSilent);
  pair.dialed->send("append");
  pair.accepted->send("answer");
  CHECK(pair.comes(pair.at_one, "answer", kSoon));
  CHECK_FALSE(pair.comes(pair.at_two, pair.greeting + "append", kNever));
  pair.network->heal();
  CHECK(pair.comes(pair.at_two, pair.greeting + "append", kSoon));
}

TEST_CASE("a proxy breaks off connections that are reset, at both ends") {
  Pair pair;
  REQUIRE(pair.comes(pair.at_two, pair.greeting, kSoon));
  pair.network->cut(2, 1, Cut::kReset);
  CHECK(pair.loop.run_until(kSoon, [&] { return pair.lost_by_one && pair.lost_by_two; }));
}

TEST_CASE("a proxy delays by what it was told, and keeps the order") {
  Pair pair;
  REQUIRE(pair.comes(pair.at_two, pair.greeting, kSoon));
  pair.network->slow(1, 2, 600);
  const Milliseconds begin = Loop::now();
  pair.dialed->send("slow");
  REQUIRE_FALSE(pair.comes(pair.at_two, pair.greeting + "slow", 300));
  pair.network->slow(1, 2, 0);
  pair.dialed->send("fast");
  CHECK(pair.comes(pair.at_two, pair.greeting + "slowfast", kSoon));
  CHECK(Loop::now() - begin >= 600);
}

}  // namespace leto::chaos
