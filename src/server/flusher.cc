#include "server/flusher.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "storage/damage.h"

namespace leto::server {
namespace {

constexpr uint64_t kWitnessRetryUs = 500000;
constexpr uint64_t kFlushRetryUs = 1000000;
constexpr uint64_t kSaidAgainUs = 60000000;
// Nothing was applied for so long: what changed is flushed within a second.
constexpr uint64_t kIdleUs = 500000;
// With nothing to write, what flushed databases left in the file goes in steps so far apart.
constexpr uint64_t kGarbageUs = 100000;
constexpr const char* kNotApplied = "what it is to hold was not committed and applied in time";

}  // namespace

Flusher::Flusher(Replica& replica, const ReplicaParts& parts)
    : replica_(replica),
      options_(parts.options),
      keyspace_(parts.keyspace),
      environment_(parts.environment),
      stats_(parts.stats),
      started_us_(environment_.clock.monotonic_us()),
      flushed_index_(replica.raft().applied_index()) {}

void Flusher::flush(Done done, uint64_t wait_us_max) {
  const uint64_t now_us = environment_.clock.monotonic_us();
  new_wishes_.push_back({.index = UINT64_MAX, .done = std::move(done), .asked_us = now_us, .wait_us_max = wait_us_max});
  environment_.waker.wake();
}

// A leader's own proposals are to be in it; a follower's log may hold entries that never commit, also those of
// a leader that was: nobody was told that they happened.
void Flusher::place_wishes() {
  const raft::Raft& raft = replica_.raft();
  const raft::Index index = raft.role() == raft::Role::kLeader ? raft.last().index : raft.commit_index();
  for (Wish& wish : wishes_) wish.index = std::min(wish.index, index);
  if (!replica_.all_proposed()) return;
  for (Wish& wish : std::exchange(new_wishes_, {})) {
    wish.index = index;
    wishes_.push_back(std::move(wish));
  }
}

void Flusher::give_up_late_wishes(uint64_t now_us) {
  const raft::Index applied = replica_.raft().applied_index();
  std::vector<Done> late;
  for (std::vector<Wish>* wishes : {&wishes_, &new_wishes_}) {
    std::erase_if(*wishes, [&](Wish& wish) {
      const bool is_late = wish.index > applied && now_us - wish.asked_us >= wish.wait_us_max;
      if (is_late) late.push_back(std::move(wish.done));
      return is_late;
    });
  }
  for (const Done& done : late) done(base::Status::error(kNotApplied));
}

void Flusher::advance() {
  place_wishes();
  const uint64_t now_us = environment_.clock.monotonic_us();
  give_up_late_wishes(now_us);
  note_changes(now_us);
  if (held_ || flushing_ || witnessing_ || environment_.keys_disk.busy()) return;
  witness_if_due();
  if (witnessing_) return;
  if (is_wished() || is_due()) start();
}

bool Flusher::is_wished() const {
  const raft::Index applied = replica_.raft().applied_index();
  return std::any_of(wishes_.begin(), wishes_.end(),
                     [applied](const Wish& wish) { return wish.index <= applied; });
}

void Flusher::note_changes(uint64_t now_us) {
  if (const raft::Index applied = replica_.raft().applied_index(); applied != seen_applied_) {
    seen_applied_ = applied;
    changed_us_ = now_us;
  }
  if (dirty_since_us_ == 0 && keyspace_.dirty_keys() > 0) dirty_since_us_ = now_us;
}

bool Flusher::is_due() {
  const uint64_t now_us = environment_.clock.monotonic_us();
  if (now_us < retry_us_) return false;
  if (failed_cut_) return true;
  const uint64_t bytes = std::max<uint64_t>(keyspace_.dirty_bytes(), replica_.applied_bytes() - frozen_applied_bytes_);
  // Also where no key changed: else a start would replay all that log, and the lag would never end.
  if (bytes >= std::min(options_.flush_bytes, bytes_max_) || behind()) return true;
  const bool is_idle = now_us - changed_us_ >= kIdleUs;
  if (keyspace_.dirty_keys() == 0) {
    const bool garbage_is_due = environment_.keys_disk.garbage_waits() && now_us - started_us_ >= kGarbageUs;
    return is_idle && (garbage_is_due || replica_.raft().applied_index() > flushed_index_);
  }
  return is_idle || now_us - started_us_ >= options_.flush_interval_ms * 1000;
}

uint64_t Flusher::lag_ms() const {
  const uint64_t since_us = holds_cut() && frozen_since_us_ != 0 ? frozen_since_us_ : dirty_since_us_;
  return since_us == 0 ? 0 : (environment_.clock.monotonic_us() - since_us) / 1000;
}

uint64_t Flusher::lag_keys() const { return keyspace_.dirty_keys() + (holds_cut() ? frozen_keys_ : 0); }

uint64_t Flusher::lag_bytes() const {
  const uint64_t keys = keyspace_.dirty_bytes() + (holds_cut() ? frozen_bytes_ : 0);
  return std::max(keys, replica_.applied_bytes() - flushed_applied_bytes_);
}

bool Flusher::behind() const {
  return lag_bytes() > options_.flush_lag_bytes || lag_ms() > options_.flush_lag_ms;
}

void Flusher::keyspace_replaced(raft::Index index) {
  ++keyspaces_;
  flushed_index_ = index;
  flushed_applied_bytes_ = frozen_applied_bytes_ = replica_.applied_bytes();
  dirty_since_us_ = frozen_since_us_ = frozen_keys_ = frozen_bytes_ = 0;
  failed_cut_.reset();
  retry_us_ = 0;
  // The other file may have an older one.
  witness_term_ = 0;
}

// D16: after a term change the witness follows, so that a log that lost its tail is told from a sound one.
void Flusher::witness_if_due() {
  const storage::Witness witness = replica_.witness();
  const uint64_t now_us = environment_.clock.monotonic_us();
  if (witness.term == witness_term_ || now_us < witness_due_us_) return;
  witnessing_ = true;
  witness_due_us_ = now_us + kWitnessRetryUs;
  environment_.keys_disk.write_witness(witness, [this, witness, keyspaces = keyspaces_](const base::Status& status) {
    witnessing_ = false;
    if (!status.is_ok()) return witness_failed(status.text());
    witness_said_us_ = 0;
    if (keyspaces == keyspaces_) witness_term_ = witness.term;
  });
}

// A disk may be full for long: it is not said each time that it is tried.
void Flusher::witness_failed(const std::string& why) {
  const uint64_t now_us = environment_.clock.monotonic_us();
  if (witness_said_us_ == 0 || now_us - witness_said_us_ >= kSaidAgainUs) {
    LETO_LOG(kWarning, "keys: the witness of the log was not written: %s", why.c_str());
    witness_said_us_ = now_us;
  }
  if (storage::is_damage(why)) replica_.on_damage(why);
}

// Those whose writes are in the cut are told with it. The others have to wait for the next one, if this one succeeds.
void Flusher::take_wishes(raft::Index cut_index) {
  const raft::Index applied = replica_.raft().applied_index();
  for (Wish& wish : std::exchange(wishes_, {})) {
    if (wish.index <= cut_index) {
      in_flight_.push_back(std::move(wish.done));
      continue;
    }
    wish.tried = wish.index <= applied;
    wishes_.push_back(std::move(wish));
  }
}

keyspace::Cut Flusher::freeze() {
  frozen_keys_ = keyspace_.dirty_keys();
  frozen_bytes_ = keyspace_.dirty_bytes();
  frozen_applied_bytes_ = replica_.applied_bytes();
  frozen_since_us_ = std::exchange(dirty_since_us_, 0);
  return keyspace_.freeze(replica_.state_header());
}

void Flusher::start() {
  keyspace::Cut cut = failed_cut_ ? std::move(*failed_cut_) : freeze();
  failed_cut_.reset();
  take_wishes(cut.header.applied_index);
  flushing_ = true;
  started_us_ = environment_.clock.monotonic_us();
  environment_.keys_disk.flush(
      std::move(cut), replica_.witness(),
      [this, keyspaces = keyspaces_](const base::Status& status, keyspace::Cut written) {
        flushing_ = false;
        // Of a keyspace that is gone nothing matters any more; not even whether it could be written.
        if (keyspaces == keyspaces_) finished(status, std::move(written));
        tell(status);
      });
}

void Flusher::finished(const base::Status& status, keyspace::Cut cut) {
  last_failed_ = !status.is_ok();
  stats_.flush_microseconds += environment_.clock.monotonic_us() - started_us_;
  if (!status.is_ok()) return failed(status, std::move(cut));
  if (const std::string damage = environment_.keys_disk.damage(); !damage.empty()) replica_.on_damage(damage);
  ++stats_.flushes;
  flushed_index_ = std::max(flushed_index_, cut.header.applied_index);
  flushed_applied_bytes_ = frozen_applied_bytes_;
}

void Flusher::failed(const base::Status& status, keyspace::Cut cut) {
  ++stats_.flush_failures;
  LETO_LOG(kWarning, "keys: a flush failed, its keys stay in memory: %s", status.text().c_str());
  if (storage::is_damage(status.text())) replica_.on_damage(status.text());
  failed_cut_ = std::move(cut);
  retry_us_ = environment_.clock.monotonic_us() + kFlushRetryUs;
}

void Flusher::tell(const base::Status& status) {
  std::vector<Done> told = std::exchange(in_flight_, {});
  for (Wish& wish : std::exchange(wishes_, {})) {
    if (wish.tried && !status.is_ok()) {
      told.push_back(std::move(wish.done));
    } else {
      wishes_.push_back(std::move(wish));
    }
  }
  for (const Done& done : told) done(status);
  environment_.waker.wake();
}

}  // namespace leto::server
