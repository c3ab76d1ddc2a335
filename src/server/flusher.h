// Writes the keyspace behind: takes cuts of it and hands them to the keys file: every flush-interval, by
// flush-bytes, soon when nothing changes any more, and when SNAPSHOT or a shutdown asks for it. Refuses to
// know tables and files.
//
// Invariants: one flush at a time; a failed flush keeps its cut, which is tried again as it is before a newer one is
// taken, for what a newer one says goes by what is in the file before it. So a failure costs the loop nothing, however large
// the cut is.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/status.h"
#include "server/environment.h"
#include "server/replica.h"

namespace leto::server {

class Flusher {
 public:
  using Done = std::function<void(const base::Status&)>;
  static constexpr uint64_t kForEver = UINT64_MAX;
  Flusher(Replica& replica, const ReplicaParts& parts);

  // Everything accepted before this call will be durable in the keys file when `done` is called, or the status
  // says why not. Not all of it applied after `wait_us_max`, which a full disk of the log may hold up for ever: an error, too.
  // A flush that holds it is waited for, however long it takes.
  void flush(Done done, uint64_t wait_us_max = kForEver);
  // Starts what can be started; call it once per turn.
  void advance();
  bool flushing() const { return flushing_; }
  uint64_t flushed_index() const { return flushed_index_; }
  bool last_failed() const { return last_failed_; }
  // Unflushed changes are too old or too many: whoever writes is to be slowed down.
  bool behind() const;
  // Of the oldest change that is not durable in the keys file; 0 if there is none.
  uint64_t lag_ms() const;
  // Changed keys that are not durable in the keys file.
  uint64_t lag_keys() const;
  // Of keys and values, or of applied log, whichever is more.
  uint64_t lag_bytes() const;
  // While set, nothing is written: the keyspace and the keys file do not belong together just now.
  void hold(bool held) { held_ = held; }
  // A flush is due with so many bytes, if flush-bytes does not say fewer: it needs about twice as much of the disk.
  void bound_bytes(uint64_t bytes) { bytes_max_ = bytes; }
  // The keyspace is another one, all of it durable at `index`: what was frozen of the old one counts no more.
  void keyspace_replaced(raft::Index index);

 private:
  struct Wish {
    raft::Index index = 0;   // To be applied before the cut is taken; UINT64_MAX: not known yet.
    Done done;
    uint64_t asked_us = 0;
    uint64_t wait_us_max = kForEver;
    bool tried = false;      // A cut from before `index` is being tried again, which has to be in the file before.
  };
  // Decides what is to be in the flush that is wished for.
  void place_wishes();
  // Tells those whose entries were not applied in time.
  void give_up_late_wishes(uint64_t now_us);
  bool is_wished() const;
  bool is_due();
  void start();
  keyspace::Cut freeze();
  void take_wishes(raft::Index cut_index);
  void witness_if_due();
  void witness_failed(const std::string& why);
  void finished(const base::Status& status, keyspace::Cut cut);
  void failed(const base::Status& status, keyspace::Cut cut);
  void tell(const base::Status& status);
  bool holds_cut() const { return flushing_ || failed_cut_.has_value(); }
  void note_changes(uint64_t now_us);

  Replica& replica_;
  const Options& options_;
  keyspace::Keyspace& keyspace_;
  Environment environment_;
  Stats& stats_;
  std::vector<Wish> new_wishes_;    // Their index is not known before the turn's writes are proposed.
  std::vector<Wish> wishes_;
  std::vector<Done> in_flight_;
  raft::Term witness_term_ = 0;     // Of the witness in the keys file.
  uint64_t witness_due_us_ = 0;     // Not before; at most two a second.
  uint64_t witness_said_us_ = 0;    // When it was last said that it cannot be written; 0: it can.
  bool witnessing_ = false;
  bool flushing_ = false;
  bool last_failed_ = false;
  std::optional<keyspace::Cut> failed_cut_;   // Waits to be tried again.
  uint64_t started_us_ = 0;         // Of the last flush, or this object.
  uint64_t flushed_index_ = 0;
  raft::Index seen_applied_ = 0;    // To notice that nothing changes any more:
  uint64_t changed_us_ = 0;         // when it last did.
  uint64_t retry_us_ = 0;           // After a failed flush.
  bool held_ = false;
  uint64_t bytes_max_ = UINT64_MAX;
  uint64_t keyspaces_ = 0;          // That were replaced.
  // What a start would replay: the payload bytes applied when the cut that is held, and the one before, was frozen.
  uint64_t frozen_applied_bytes_ = 0;
  uint64_t flushed_applied_bytes_ = 0;
  uint64_t frozen_keys_ = 0;        // In the cut that is held,
  uint64_t frozen_bytes_ = 0;       // with so many bytes of keys and values.
  uint64_t dirty_since_us_ = 0;     // The first change after the last freeze; 0: none.
  uint64_t frozen_since_us_ = 0;    // The same of the cut that is held.
};

}  // namespace leto::server
