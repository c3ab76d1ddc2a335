// The network of those who may not make one: everything on 127.0.0.1, each node advertises a proxy of this process as its
// peers' port. Who dials is read from the Hello that begins each connection; a node sends on connections that it
// dialed and only shakes hands on the others, so each direction can be cut by itself.
#include <cstdlib>
#include <deque>
#include <set>
#include <utility>

#include "base/format.h"
#include "peer/frame.h"
#include "peer/handshake_message.h"
#include "tests/chaos/network.h"

namespace leto::chaos {

namespace {

// Bytes that wait for a node which does not read; beyond it the connection breaks.
constexpr size_t kUnsentMax = 64 * 1024 * 1024;

struct Way {
  bool silent = false;
  bool reset = false;
  Milliseconds delay = 0;
};

class Ways {
 public:
  explicit Ways(size_t nodes) : nodes_(nodes), ways_((nodes + 1) * (nodes + 1)) {}
  Way& at(size_t from, size_t to) { return ways_.at(from * (nodes_ + 1) + to); }
  void clear() { ways_.assign(ways_.size(), {}); }
  size_t nodes() const { return nodes_; }

 private:
  const size_t nodes_;
  std::vector<Way> ways_;   // Row and column 0: somebody unknown, who always gets through.
};

// The number of the node whose Hello begins `bytes`; 0: it is not whole, or none.
size_t who_dials(std::string_view bytes, size_t nodes) {
  peer::FrameReader reader;
  reader.feed(bytes);
  peer::Frame frame;
  peer::Hello hello;
  if (!reader.next(frame) || frame.type != peer::FrameType::kHello) return 0;
  if (!peer::decode_payload(frame.payload, hello).is_ok() || !hello.initiator.id.starts_with("n")) return 0;
  const auto number = static_cast<size_t>(std::strtoul(hello.initiator.id.c_str() + 1, nullptr, 10));
  return number <= nodes ? number : 0;
}

// One connection between two nodes.
class Link : public std::enable_shared_from_this<Link> {
 public:
  Link(Loop& loop, Ways& ways, size_t to, Address target) : loop_(loop), ways_(ways), to_(to), target_(std::move(target)) {}

  void begin(int descriptor) {
    ends_[0] = Stream::adopt(loop_, descriptor, hooks(0));
  }
  bool is_open() const { return ends_[0]->is_open(); }
  void end(bool reset) {
    for (const std::shared_ptr<Stream>& end : ends_) {
      if (end && reset) end->abort();
      if (end) end->close();
    }
  }
  // The ways have changed, or time has passed.
  void flow() {
    if (from_ != 0 && (ways_.at(from_, to_).reset || ways_.at(to_, from_).reset)) return end(true);
    for (size_t side = 0; side < 2; ++side) {
      if (ends_[side]) ends_[side]->set_reading(!way(side).silent);
      deliver(side);
    }
  }

 private:
  struct Chunk {
    Milliseconds due = 0;
    std::string bytes;
  };

  // Of what `side` says: 0 is who dialed.
  Way& way(size_t side) { return side == 0 ? ways_.at(from_, from_ == 0 ? 0 : to_) : ways_.at(from_ == 0 ? 0 : to_, from_); }

  StreamHooks hooks(size_t side) {
    const std::weak_ptr<Link> weak = weak_from_this();
    return {.on_connected = [weak] { if (const auto self = weak.lock()) self->flow(); },
            .on_bytes = [weak, side](std::string_view bytes) { if (const auto self = weak.lock()) self->on_bytes(side, bytes); },
            .on_closed = [weak] { if (const auto self = weak.lock()) self->end(false); }};
  }

  void on_bytes(size_t side, std::string_view bytes) {
    if (side == 0 && ends_[1] == nullptr) return on_hello(bytes);
    queue(side, bytes);
  }

  void on_hello(std::string_view bytes) {
    hello_.append(bytes);
    from_ = who_dials(hello_, ways_.nodes());
    if (from_ == 0 && hello_.size() < peer::kHandshakeFrameBytesMax) return;
    ends_[1] = Stream::dial(loop_, target_, hooks(1));
    if (ends_[1] == nullptr) return end(true);
    queue(0, std::exchange(hello_, {}));
    flow();
  }

  void queue(size_t side, std::string_view bytes) {
    const Milliseconds now = Loop::now(), delay = way(side).delay;
    const Milliseconds earliest = chunks_[side].empty() ? now : chunks_[side].back().due;
    chunks_[side].push_back({.due = std::max(earliest, now + delay), .bytes = std::string(bytes)});
    if (chunks_[side].back().due <= now) return deliver(side);
    loop_.after(chunks_[side].back().due - now, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->flow();
    });
  }

  void deliver(size_t side) {
    std::deque<Chunk>& chunks = chunks_[side];
    const std::shared_ptr<Stream>& other = ends_[1 - side];
    if (!other || way(side).silent) return;
    for (const Milliseconds now = Loop::now(); !chunks.empty() && chunks.front().due <= now; chunks.pop_front()) {
      other->send(chunks.front().bytes);
    }
    if (other->unsent() > kUnsentMax) end(true);
  }

  Loop& loop_;
  Ways& ways_;
  size_t from_ = 0;
  const size_t to_;
  const Address target_;
  std::string hello_;
  std::shared_ptr<Stream> ends_[2];
  std::deque<Chunk> chunks_[2];
};

class Proxies final : public Network {
 public:
  Proxies(Loop& loop, size_t nodes) : loop_(loop), ways_(nodes), places_(nodes + 1) {
    for (size_t node = 1; node <= nodes; ++node) {
      Place& place = places_[node];
      place.clients = free_port();
      place.peers = free_port();
      place.proxy = std::make_unique<Listener>(loop_, [this, node](int descriptor) { on_accepted(node, descriptor); });
    }
  }
  ~Proxies() override {
    for (const std::shared_ptr<Link>& link : links_) link->end(true);
  }

  bool is_there() const {
    for (size_t node = 1; node < places_.size(); ++node) {
      if (places_[node].clients == 0 || places_[node].peers == 0 || places_[node].proxy->port() == 0) return false;
    }
    return true;
  }

  std::vector<std::string> options(size_t node) const override {
    const Place& place = places_.at(node);
    return {"-listen",         readable({"127.0.0.1", place.clients}), "-raftbind", readable({"127.0.0.1", place.peers}),
            "-raft-advertise", readable({"127.0.0.1", place.proxy->port()})};
  }
  Address clients(size_t node) const override { return {"127.0.0.1", places_.at(node).clients}; }
  bool enter(size_t) const override { return true; }

  void cut(size_t from, size_t to, Cut how) override {
    (how == Cut::kReset ? ways_.at(from, to).reset : ways_.at(from, to).silent) = true;
    flow();
  }
  void slow(size_t from, size_t to, Milliseconds delay) override { ways_.at(from, to).delay = delay; }
  void heal() override {
    ways_.clear();
    flow();
  }
  std::string description() const override { return "proxies between the nodes, delay in milliseconds"; }

 private:
  struct Place {
    uint16_t clients = 0, peers = 0;
    std::unique_ptr<Listener> proxy;
  };

  void on_accepted(size_t node, int descriptor) {
    std::erase_if(links_, [](const std::shared_ptr<Link>& link) { return !link->is_open(); });
    links_.insert(std::make_shared<Link>(loop_, ways_, node, Address{"127.0.0.1", places_[node].peers})).first->get()->begin(descriptor);
  }
  void flow() {
    for (const std::shared_ptr<Link>& link : links_) link->flow();
  }

  Loop& loop_;
  Ways ways_;
  std::vector<Place> places_;
  std::set<std::shared_ptr<Link>> links_;
};

}  // namespace

base::Result<std::unique_ptr<Network>> make_proxies(Loop& loop, size_t nodes) {
  auto proxies = std::make_unique<Proxies>(loop, nodes);
  if (!proxies->is_there()) return base::Status::error("no ports could be had from the system");
  return std::unique_ptr<Network>(std::move(proxies));
}

}  // namespace leto::chaos
