#include "tests/sim/wire.h"

#include <utility>

#include "base/little_endian.h"

namespace leto::sim {

namespace {

constexpr uint64_t kOutOf = 10000;
constexpr size_t kLengthOffset = 12;   // In a frame's header; docs/protocol.md.

// Each side's bytes through a reader, until nobody has anything to say.
bool converse(peer::Initiator& initiator, peer::Acceptor& acceptor) {
  peer::FrameReader there, here;
  std::string bytes;
  initiator.start(bytes);
  while (!bytes.empty()) {
    peer::Frame frame;
    std::string answer;
    there.feed(std::exchange(bytes, {}));
    while (there.next(frame)) acceptor.on_frame(frame, answer);
    here.feed(answer);
    while (here.next(frame)) initiator.on_frame(frame, bytes);
  }
  return initiator.step() == peer::HandshakeStep::kDone && acceptor.step() == peer::HandshakeStep::kDone;
}

}  // namespace

Wire::Wire(WireSetup setup) : setup_(std::move(setup)), frames_(peer::kFrameBytesMax) {}

bool Wire::shake_hands(const peer::AcceptorSetup& acceptor) {
  peer::Initiator here(setup_.hello, setup_.secret, setup_.semantics_level);
  peer::Acceptor there(acceptor);
  up_ = converse(here, there);
  if (up_ && setup_.hello.expected.node != acceptor.self.node) setup_.world.fail("handshake", "another node was let in");
  if (up_) return true;
  close(WireEnd::kRefused);
  return false;
}

void Wire::close(WireEnd why) {
  if (end_ != WireEnd::kNone) return;
  end_ = why;
  ended_at_ = setup_.world.scheduler.now();
  queue_.clear();
  cutter_.reset();
  setup_.on_end(why);
}

bool Wire::take(const std::shared_ptr<const peer::Encoded>& message) {
  if (!queue_.empty() && queued_bytes_ + message->size() > kQueueBytesMax) return false;
  queued_bytes_ += message->size();
  queue_.push_back(message);
  go_on();
  return true;
}

// A message in parts takes its time; what is behind it on this connection waits.
void Wire::go_on() {
  while (!cutter_ && !queue_.empty()) {
    const std::shared_ptr<const peer::Encoded> message = std::move(queue_.front());
    queue_.pop_front();
    queued_bytes_ -= message->size();
    if (message->needs_parts()) {
      setup_.world.coverage.note(Reached::kParted);
      cutter_ = std::make_unique<peer::PartCutter>(*message, ++streams_);
      return send_part();
    }
    std::string bytes;
    peer::put_message(bytes, *message);
    transmit(std::move(bytes));
  }
}

void Wire::send_part() {
  if (end_ != WireEnd::kNone) return;
  if (!setup_.passes()) {
    setup_.world.coverage.note(Reached::kPartsCutOff);
    return close(WireEnd::kCutInParts);
  }
  std::string bytes;
  cutter_->put_next(bytes);
  const bool done = cutter_->done();
  if (done) cutter_.reset();
  transmit(std::move(bytes));
  if (end_ != WireEnd::kNone) return;
  if (done) return go_on();
  const Microseconds time = setup_.random.between(1, setup_.world.parameters.network.part_high);
  setup_.world.scheduler.after(time, [self = shared_from_this()] { self->send_part(); });
}

void Wire::transmit(std::string bytes) {
  if (damage(bytes)) return;
  read_in_pieces(bytes);
}

// True if that is all that becomes of it.
bool Wire::damage(std::string& bytes) {
  const NetworkParameters& usual = setup_.world.parameters.network;
  if (setup_.world.healing || damaged_) return false;
  if (setup_.random.chance(usual.flip, kOutOf)) {
    flip_bit(bytes);
  } else if (setup_.random.chance(usual.oversize, kOutOf)) {
    make_oversized(bytes);
  } else if (setup_.random.chance(usual.cut_in_frame, kOutOf)) {
    setup_.world.coverage.note(Reached::kCutInFrame);
    read(std::string_view(bytes).substr(0, setup_.random.between(1, bytes.size() - 1)));
    close(WireEnd::kCutInFrame);
    return true;
  }
  return false;
}

void Wire::flip_bit(std::string& bytes) {
  setup_.world.coverage.note(Reached::kBitFlipped);
  // As often in the header as behind it.
  const size_t within = setup_.random.chance(1, 2) ? peer::kHeaderBytes : bytes.size();
  const uint64_t bit = setup_.random.below(8 * within);
  bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
  damaged_ = true;
}

void Wire::make_oversized(std::string& bytes) {
  setup_.world.coverage.note(Reached::kOversized);
  const size_t least = peer::kFrameBytesMax - peer::kHeaderBytes + 1;
  base::store_little_endian(bytes.data() + kLengthOffset, static_cast<uint32_t>(setup_.random.between(least, UINT32_MAX)));
  damaged_ = true;
  read(bytes);
  if (end_ == WireEnd::kNone) setup_.world.fail("frames", "a frame beyond the bound is waited for");
}

// Bytes come as the kernel has them.
void Wire::read_in_pieces(std::string_view bytes) {
  const size_t first = setup_.random.chance(1, 4) ? setup_.random.below(bytes.size()) : bytes.size();
  read(bytes.substr(0, first));
  if (end_ == WireEnd::kNone && first < bytes.size()) read(bytes.substr(first));
  if (is_stuck()) watch_stuck();
}

void Wire::read(std::string_view bytes) {
  frames_.feed(bytes);
  peer::Frame frame;
  while (end_ == WireEnd::kNone && frames_.next(frame)) {
    if (damaged_) return setup_.world.fail("frames", "a frame was taken behind damaged bytes, or of them");
    base::Result<peer::PartArrival> arrival = inbox_.take(frame);
    if (!arrival.is_ok()) return setup_.world.fail("frames", "a sound frame is refused: " + arrival.status().text());
    const peer::Route& route = arrival.value().route;
    const bool right = route.from == setup_.hello.initiator.node && route.to == setup_.hello.expected.node;
    if (!right) return setup_.world.fail("frames", "a message comes over another node's connection");
    setup_.deliver(std::move(arrival.value()));
  }
  if (frames_.error() == peer::FrameError::kNone) return;
  if (!damaged_) return setup_.world.fail("frames", "sound bytes are refused: " + frames_.error_text());
  close(WireEnd::kBadBytes);
}

// A length that was made larger makes the reader wait, and then only time tells.
void Wire::watch_stuck() {
  if (!damaged_) return setup_.world.fail("frames", "a whole frame is waited for");
  const Microseconds patience = peer::frame_ms_max(setup_.hello.kind) * kMillisecond;
  setup_.world.scheduler.after(patience, [self = shared_from_this()] {
    if (!self->is_stuck()) return;
    self->setup_.world.coverage.note(Reached::kStuckFrame);
    self->close(WireEnd::kStuck);
  });
}

}  // namespace leto::sim
