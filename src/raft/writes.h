// What is on its way to the disk: the write being collected, those handed out and not yet durable, and
// from both what IS durable. Rules D4 and D8 live here. It refuses to know why something is written.
//
// Invariants: writes complete in order of seq and never by (index, term); a truncation lowers the durable
// index, and what any earlier write may still raise it to, at once.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "raft/raft.h"

namespace leto::raft {

class WriteQueue {
 public:
  WriteQueue(const HardState& hard_state, Index durable_index);

  void set_hard_state(const HardState& hard_state);
  void append(const Entry& entry);
  // The entries that follow go into the same Write: one atomic change (D4).
  void truncate_from(Index index);
  // The log becomes empty behind `install.last`, in a Write that begins with it (D9). Of what was durable, or is
  // on its way, nothing behind `survives` is known to agree with the snapshot: older writes raise no further.
  // REQUIRES: survives < install.last.index. One that keeps the log changes nothing of it, and `survives` does not matter.
  void install(SnapshotInstall install, Index survives);
  // `message` leaves once everything asked for up to now is durable: with the Write being collected, else
  // when the newest one in flight completes. REQUIRES: !all_durable().
  void after_durable(Message message);

  bool has_open() const { return !open_.empty(); }
  // Everything asked for so far is durable.
  bool all_durable() const { return in_flight_.empty(); }
  std::vector<Write> take();
  // D8: writes up to and including `seq` are durable. Appends to `released` the messages that waited for
  // them and were not part of a Write.
  void complete(WriteSeq seq, std::vector<Message>& released);

  Index durable_index() const { return durable_index_; }
  const HardState& hard_state() const { return hard_state_; }
  const HardState& durable_hard_state() const { return durable_hard_state_; }
  // See Raft::fingerprint(); fingerprint.cc.
  void fingerprint(std::string& bytes) const;

 private:
  struct InFlight {
    WriteSeq seq = 0;
    Index raises_to = 0;  // Completion makes everything up to here durable; 0: nothing new.
    std::optional<HardState> hard_state;
  };
  struct Deferred {
    WriteSeq seq = 0;
    Message message;
  };

  Write& open_write();
  Write& new_write();
  void lower_durable(Index survives);
  void assert_atomic(const Write& write) const;
  void assert_messages_wait(const Write& write, const InFlight& in_flight) const;

  WriteSeq next_seq_ = 1;
  std::vector<Write> open_;         // Collected since the last take().
  std::deque<InFlight> in_flight_;  // One for each Write, those in open_ included.
  std::deque<Deferred> deferred_;
  Index durable_index_ = 0;
  HardState hard_state_;            // The newest asked for.
  HardState durable_hard_state_;
};

}  // namespace leto::raft
