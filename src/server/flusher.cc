#include "server/flusher.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace leto::server {
namespace {

constexpr uint64_t kWitnessRetryUs = 500000;

}  // namespace

Flusher::Flusher(Replica& replica, keyspace::Keyspace& keyspace, const Environment& environment,
                 Stats& stats)
    : replica_(replica), keyspace_(keyspace), environment_(environment), stats_(stats) {}

void Flusher::flush(Done done) {
  new_wishes_.push_back({.index = 0, .done = std::move(done)});
  environment_.waker.wake();
}

void Flusher::advance() {
  if (!new_wishes_.empty() && replica_.all_proposed()) {
    // A leader's own proposals are to be in it; a follower's log may hold entries that never commit.
    const bool leads = replica_.raft().role() == raft::Role::kLeader;
    const raft::Index index = leads ? replica_.raft().last().index : replica_.raft().commit_index();
    for (Wish& wish : std::exchange(new_wishes_, {})) {
      wish.index = index;
      wishes_.push_back(std::move(wish));
    }
  }
  if (flushing_ || witnessing_ || environment_.keys_disk.busy()) return;
  witness_if_due();
  if (witnessing_ || wishes_.empty()) return;
  const raft::Index applied = replica_.raft().applied_index();
  const bool ready = std::any_of(wishes_.begin(), wishes_.end(),
                                 [applied](const Wish& wish) { return wish.index <= applied; });
  if (ready) start();
}

// D16: after a term change the witness follows, so that a log that lost its tail is told from a sound one.
void Flusher::witness_if_due() {
  const storage::Witness witness = replica_.witness();
  const uint64_t now_us = environment_.clock.monotonic_us();
  if (witness.term == witness_term_ || now_us < witness_due_us_) return;
  witnessing_ = true;
  witness_due_us_ = now_us + kWitnessRetryUs;
  environment_.keys_disk.write_witness(witness, [this, witness](const base::Status& status) {
    witnessing_ = false;
    if (!status.is_ok()) {
      LETO_LOG(kWarning, "keys: the witness of the log was not written: %s", status.text().c_str());
      return;
    }
    witness_term_ = witness.term;
  });
}

void Flusher::start() {
  const raft::Index applied = replica_.raft().applied_index();
  for (Wish& wish : std::exchange(wishes_, {})) {
    if (wish.index <= applied) {
      in_flight_.push_back(std::move(wish.done));
    } else {
      wishes_.push_back(std::move(wish));
    }
  }
  flushing_ = true;
  started_us_ = environment_.clock.monotonic_us();
  environment_.keys_disk.flush(
      keyspace_.freeze(replica_.state_header()), replica_.witness(),
      [this](const base::Status& status, keyspace::Cut cut) { finished(status, std::move(cut)); });
}

void Flusher::finished(const base::Status& status, keyspace::Cut cut) {
  flushing_ = false;
  ++stats_.flushes;
  stats_.flush_microseconds += environment_.clock.monotonic_us() - started_us_;
  if (status.is_ok()) {
    flushed_index_ = cut.header.applied_index;
  } else {
    ++stats_.flush_failures;
    LETO_LOG(kWarning, "keys: a flush failed, its keys stay in memory: %s", status.text().c_str());
    keyspace_.restore(std::move(cut));
  }
  for (const Done& done : std::exchange(in_flight_, {})) done(status);
  environment_.waker.wake();
}

}  // namespace leto::server
