// A simulated connection by itself: what it must let through, and what not.
#include "tests/sim/wire.h"

#include <doctest/doctest.h>

#include <utility>
#include <vector>

namespace leto::sim {
namespace {

constexpr raft::NodeId kFrom = 1, kTo = 2;

struct Ends {
  explicit Ends(const Parameters& chosen, raft::NodeId there = kTo) : parameters(chosen), world(parameters, false) {
    peer::Hello hello;
    hello.kind = peer::ConnectionKind::kBulk;
    hello.cluster.assign(peer::kClusterBytes, 'c');
    hello.initiator = {.node = kFrom, .id = "id1"};
    hello.expected = {.node = kTo, .id = "id2"};
    hello.nonce.assign(peer::kNonceBytes, 'n');
    const std::string secret(peer::kSecretBytesMin, 's');
    wire = std::make_shared<Wire>(WireSetup{
        .world = world, .random = random, .hello = hello, .secret = secret, .semantics_level = 1,
        .deliver = [this](peer::PartArrival arrival) { came += arrival.message.has_value(); },
        .on_end = [this](WireEnd) { ++ends; }, .passes = [this] { return passes; }});
    peer::AcceptorSetup acceptor;
    acceptor.self = {.node = there, .id = "id2"};
    acceptor.cluster = hello.cluster;
    acceptor.secret = secret;
    acceptor.state = peer::AcceptorState::kMember;
    acceptor.nonce.assign(peer::kNonceBytes, 'm');
    up = wire->shake_hands(acceptor);
  }
  void send(size_t bytes) {
    raft::AppendEntries body;
    body.entries.push_back({.id = {.term = 1, .index = 1},
                            .kind = raft::EntryKind::kCommands,
                            .payload = std::make_shared<const std::string>(bytes, 'x')});
    const raft::Message message{.from = kFrom, .to = kTo, .term = 1, .body = std::move(body)};
    if (wire->end() == WireEnd::kNone) wire->take(std::make_shared<const peer::Encoded>(peer::encode(message)));
  }
  void pass() {
    while (world.scheduler.run_next()) continue;
  }

  const Parameters parameters;
  World world;
  base::Random random{7};
  std::shared_ptr<Wire> wire;
  bool up = false, passes = true;
  size_t came = 0;
  int ends = 0;
};

TEST_CASE("wire: messages come whole and in order, those in parts, too, and what is behind them waits") {
  Parameters parameters;
  parameters.network.part_high = 1000;
  Ends ends(parameters);
  REQUIRE(ends.up);
  ends.send(100);
  CHECK(ends.came == 1);
  ends.send(3 * peer::kPartBytes);
  ends.send(100);
  CHECK(ends.came == 1);
  ends.pass();
  CHECK(ends.came == 3);
  CHECK_FALSE(ends.world.failed());
}

TEST_CASE("wire: another node than the one that was meant refuses") {
  Ends ends(Parameters{}, 3);
  CHECK_FALSE(ends.up);
  CHECK(ends.wire->end() == WireEnd::kRefused);
  CHECK(ends.ends == 1);
}

TEST_CASE("wire: nothing comes of damaged bytes nor behind them, and the connection ends once") {
  const std::vector<uint64_t NetworkParameters::*> kinds = {&NetworkParameters::flip, &NetworkParameters::oversize,
                                                            &NetworkParameters::cut_in_frame};
  for (const auto kind : kinds) {
    for (uint64_t round = 0; round < 300; ++round) {
      Parameters parameters;
      parameters.network.*kind = 10000;
      Ends ends(parameters);
      ends.random = base::Random(round);
      ends.send(round);
      ends.send(round);
      ends.pass();
      CHECK(ends.came == 0);
      CHECK(ends.ends == 1);
      CHECK_FALSE(ends.world.failed());
    }
  }
}

TEST_CASE("wire: a link that is cut while parts are under way ends the connection without the message") {
  Ends ends(Parameters{});
  ends.send(2 * peer::kPartBytes);
  ends.passes = false;
  ends.pass();
  CHECK(ends.came == 0);
  CHECK(ends.wire->end() == WireEnd::kCutInParts);
}

}  // namespace
}  // namespace leto::sim
