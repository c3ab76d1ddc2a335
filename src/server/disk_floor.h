// Stops before the disk is full: looks at the room that is left, refuses writes below disk-floor while there is still enough
// to make room with, and makes it. Refuses to know files and SQL.
//
// The room is what the file system has free, and the pages of raft.db that hold nothing: old log that was dropped leaves no
// free disk behind, but the next log goes there. Three states, by the room:
//
//   plenty   Twice disk-floor or more. Nothing is done.
//   short    Less. The keys are flushed at once, a leader keeps no more of the log than followers are about to get
//            (awaited_followers.h), and its WAL is checkpointed, so that a disk which the log filled has room again before
//            anybody is refused.
//   low      It fell below disk-floor, or a write had to give the ballast away (storage/ballast.h). Besides, a leader takes no
//            new write from clients and looks for another one that leads, no leadership is taken over, a follower drops
//            log that is durable in the keys but for little (compactor.cc), and the ballast is given away: its room is for the
//            flush and the compaction, not for more writes.
//
// From low it goes back when the room is plenty, and either all that can be dropped was dropped since, or there is free disk
// for the ballast besides. The ballast itself need not be back: a disk that is full but for pages of raft.db is one to go on
// with. Nor is plenty enough without one of the two: the room that the ballast leaves would be written full, and the next time
// there were none. While it is not low the ballast is made again as soon as the disk has room for it; but for a while after
// a write had to give it away, or it could not be written, as a disk may be full that says it is not.
//
// Invariants: the disk is looked at by jobs of the log's worker alone, one at a time; one line of log for each change.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "server/compactor.h"
#include "server/environment.h"
#include "server/flusher.h"
#include "server/replica.h"

namespace leto::server {

class DiskFloor {
 public:
  // How often it is looked at; earlier once a quarter of disk-floor was applied since,
  static constexpr uint64_t kLookUs = 1000000;
  // and how often a leader that is low tries to hand over, to one voter after the other. When it has been round them all, as it
  // may be where all are low, it waits twice as long between two, up to
  static constexpr uint64_t kGiveWayUs = 10000000;
  static constexpr uint64_t kGiveWayUsMax = 120000000;
  // A ballast that a write gave away, or that could not be made, is not made again for so long.
  static constexpr uint64_t kBallastPauseUs = 60000000;
  // A flush may always have so many bytes.
  static constexpr uint64_t kFlushBytesMin = 1 << 20;

  DiskFloor(Replica& replica, const ReplicaParts& parts, Flusher& flusher, Compactor& compactor);

  // Every tick.
  void on_tick();
  bool low() const { return state_ == Room::kLow; }
  // As it was last seen, in bytes; 0 before that.
  uint64_t room() const { return room_.total(); }
  // Set by the owner: this leader is to hand over to the node. False if it has something else to do.
  std::function<bool(raft::NodeId to)> give_way;

 private:
  void look();
  void seen(const storage::RoomWish& wish, base::Result<storage::LogRoom> room);
  void notice_lost_ballast();
  storage::BallastWish ballast_wish() const;
  Room by_what_is_left();
  bool has_helped_itself();
  void enter(Room state);
  std::string text() const;
  void tell_parts(bool store_knows);
  void flush_for_room();
  void give_way_if_due(uint64_t now_us);
  raft::NodeId next_successor() const;

  Replica& replica_;
  const Options& options_;
  Environment environment_;
  Flusher& flusher_;
  Compactor& compactor_;
  Room state_ = Room::kPlenty;
  storage::LogRoom room_;
  bool looking_ = false;
  bool last_look_failed_ = false;
  uint64_t look_after_us_ = 0;         // Not before.
  uint64_t applied_bytes_seen_ = 0;    // When it was last looked at.
  bool has_ballast_;
  bool gives_ballast_ = false;         // It was wished for with the last look.
  uint64_t ballast_after_us_ = 0;      // Not made before.
  bool flush_is_wished_ = false;
  raft::Index low_since_index_ = 0;    // What was applied then.
  // Of one term of leadership on a low disk.
  struct GivingWay {
    uint64_t after_us = 0;
    uint64_t pause_us = kGiveWayUs;
    raft::NodeId last_successor = raft::kNobody;
  };
  GivingWay giving_way_;
};

}  // namespace leto::server
