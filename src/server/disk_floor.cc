#include "server/disk_floor.h"

#include <algorithm>
#include <utility>

#include "base/format.h"
#include "base/log.h"
#include "server/tick.h"

namespace leto::server {
namespace {

// Of disk-floor: applied since the last look, so that a fast writer does not pass the floor between two.
constexpr uint64_t kLookDivisor = 4;
// Of the free disk: a flush goes to the WAL of the keys file, then to the file, and as much log is written meanwhile; half is to
// be left.
constexpr uint64_t kFlushDivisor = 8;

// Rounded down: what is less than another shows as less.
std::string megabytes(uint64_t bytes) {
  const uint64_t tenths = (bytes >> 20) * 10 + ((bytes & 0xfffff) * 10 >> 20);
  return base::format("%llu.%llu MB", static_cast<unsigned long long>(tenths / 10), static_cast<unsigned long long>(tenths % 10));
}

}  // namespace

DiskFloor::DiskFloor(Replica& replica, const ReplicaParts& parts, Flusher& flusher, Compactor& compactor)
    : replica_(replica),
      options_(parts.options),
      environment_(parts.environment),
      flusher_(flusher),
      compactor_(compactor),
      has_ballast_(environment_.log_disk.counters().has_ballast) {}

void DiskFloor::on_tick() {
  notice_lost_ballast();
  const uint64_t now_us = environment_.clock.monotonic_us();
  const uint64_t applied = replica_.applied_bytes() - applied_bytes_seen_;
  const bool is_due = now_us >= look_after_us_ || (options_.disk_floor > 0 && applied > options_.disk_floor / kLookDivisor);
  if (is_due && !looking_) look();
  give_way_if_due(now_us);
}

// A write that gave it away found the disk full, whatever there may be room for besides.
void DiskFloor::notice_lost_ballast() {
  const bool had_ballast = std::exchange(has_ballast_, environment_.log_disk.counters().has_ballast);
  if (!had_ballast || has_ballast_ || gives_ballast_) return;
  ballast_after_us_ = environment_.clock.monotonic_us() + kBallastPauseUs;
  if (!low() && options_.disk_floor > 0) enter(Room::kLow);
}

void DiskFloor::look() {
  looking_ = true;
  look_after_us_ = environment_.clock.monotonic_us() + kLookUs;
  applied_bytes_seen_ = replica_.applied_bytes();
  const storage::RoomWish wish{.is_short = state_ != Room::kPlenty,
                               .ballast = ballast_wish(),
                               .beside_ballast = kPlentyFactor * options_.disk_floor};
  gives_ballast_ = wish.ballast == storage::BallastWish::kGiveAway;
  environment_.log_disk.look_at_room(wish, [this, wish](base::Result<storage::LogRoom> room) {
    looking_ = false;
    seen(wish, std::move(room));
  });
}

storage::BallastWish DiskFloor::ballast_wish() const {
  using storage::BallastWish;
  // A flush can do nothing with unused pages of raft.db.
  const bool flush_needs_room = flusher_.last_failed() && room_.free < options_.disk_floor;
  if (low() || flush_needs_room) return BallastWish::kGiveAway;
  return environment_.clock.monotonic_us() < ballast_after_us_ ? BallastWish::kLeave : BallastWish::kMake;
}

void DiskFloor::seen(const storage::RoomWish& wish, base::Result<storage::LogRoom> room) {
  if (!room.is_ok()) {
    if (!std::exchange(last_look_failed_, true)) LETO_LOG(kWarning, "disk-floor: %s", room.status().text().c_str());
    return;
  }
  last_look_failed_ = false;
  room_ = room.value();
  notice_lost_ballast();
  if (room_.ballast_failed) ballast_after_us_ = environment_.clock.monotonic_us() + kBallastPauseUs;
  if (const Room now = by_what_is_left(); now != state_) enter(now);
  tell_parts(wish.is_short);
  if (state_ != Room::kPlenty) flush_for_room();
}

Room DiskFloor::by_what_is_left() {
  const uint64_t room = room_.total();
  if (room < options_.disk_floor) return Room::kLow;
  const bool is_plenty = room >= kPlentyFactor * options_.disk_floor;
  if (!low() || options_.disk_floor == 0) return is_plenty ? Room::kPlenty : Room::kShort;
  const bool holds_ballast = has_ballast_ || room_.free >= kPlentyFactor * options_.disk_floor + options_.ballast_bytes;
  return is_plenty && (holds_ballast || has_helped_itself()) ? Room::kPlenty : Room::kLow;
}

// The compactor knows of it only after the second look.
bool DiskFloor::has_helped_itself() {
  return compactor_.room() == Room::kLow && flusher_.flushed_index() >= low_since_index_ && compactor_.is_done();
}

void DiskFloor::enter(Room state) {
  const bool was_low = low();
  state_ = state;
  // What is wished for has changed: not in a second, now.
  if (state != Room::kPlenty) look_after_us_ = 0;
  if (low() == was_low) return;
  if (low()) {
    low_since_index_ = replica_.raft().applied_index();
    const bool is_seen = room_.total() < options_.disk_floor;
    LETO_LOG(kWarning, "%s: writes are refused until there is room",
             is_seen ? text().c_str() : "the disk was found full, and the ballast is given away");
  } else {
    LETO_LOG(kNotice, "the disk has room again: %s", megabytes(room_.total()).c_str());
  }
  replica_.raft().refuse_transfers(low());
  replica_.refuse_for_room(low() ? "MISCONF " + text() : std::string());
  environment_.waker.wake();
}

std::string DiskFloor::text() const {
  const char* words = room_.total() < options_.disk_floor
                          ? "the disk has %s left, less than disk-floor (%s)"
                          : "the disk has %s left; it was full, or below disk-floor (%s), and must have twice as much";
  return base::format(words, megabytes(room_.total()).c_str(), megabytes(options_.disk_floor).c_str());
}

// The compactor not before the log can drop its last segment: it would try in vain, and take that for all there is.
void DiskFloor::tell_parts(bool store_knows) {
  compactor_.set_room(store_knows ? state_ : Room::kPlenty);
  const bool is_off = options_.disk_floor == 0;
  flusher_.bound_bytes(is_off ? UINT64_MAX : std::max(kFlushBytesMin, room_.free / kFlushDivisor));
  if (low()) replica_.refuse_for_room("MISCONF " + text());
}

void DiskFloor::flush_for_room() {
  // On a low disk also where there is nothing to flush: only the commit behind a whole checkpoint shortens the keys file's WAL.
  const bool is_behind = flusher_.flushed_index() < replica_.raft().applied_index();
  if (flush_is_wished_ || (!is_behind && !low())) return;
  flush_is_wished_ = true;
  // One that failed is wished for again when the disk was looked at.
  flusher_.flush([this](const base::Status&) { flush_is_wished_ = false; });
}

void DiskFloor::give_way_if_due(uint64_t now_us) {
  if (!low() || replica_.raft().role() != raft::Role::kLeader) giving_way_ = {};
  const bool is_due = low() && replica_.raft().leads_and_committed_in_term() && now_us >= giving_way_.after_us;
  const raft::NodeId to = is_due ? next_successor() : raft::kNobody;
  if (to == raft::kNobody || !give_way(to)) return;
  if (to <= giving_way_.last_successor) giving_way_.pause_us = std::min(2 * giving_way_.pause_us, kGiveWayUsMax);
  giving_way_.after_us = now_us + giving_way_.pause_us;
  giving_way_.last_successor = to;
}

// Voters in turn, as nobody says whether its own disk is low: of those that have what is committed, the first behind the last
// one that was tried.
raft::NodeId DiskFloor::next_successor() const {
  const raft::Raft& raft = replica_.raft();
  raft::NodeId first = raft::kNobody, next = raft::kNobody;
  for (const raft::PeerView& peer : raft.peers()) {
    const bool answers = peer.ticks_since_heard <= options_.election_timeout_ms / kTickMs;
    if (!answers || peer.match < raft.commit_index() || !raft.configuration().is_voter(peer.node)) continue;
    if (first == raft::kNobody || peer.node < first) first = peer.node;
    if (peer.node > giving_way_.last_successor && (next == raft::kNobody || peer.node < next)) next = peer.node;
  }
  return next != raft::kNobody ? next : first;
}

}  // namespace leto::server
