// The job runners in front of the two stores, in virtual time: the real store is called at one moment of the
// job's time, at its beginning, its end, or between, so that a death before, within and after the commit are
// all possible. Refuses to know SQL and Raft. Invariant: at most one job in flight for each file.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "server/environment.h"
#include "tests/sim/machine.h"

namespace leto::sim {

class SimLogDisk final : public server::LogDisk {
 public:
  SimLogDisk(Machine& machine, storage::LogStore& store) : machine_(machine), store_(store) {}

  void write(std::vector<storage::LogWrite> writes, bool with_vote, Written done) override;
  void read(const raft::Load& load, Read done) override;
  bool busy() const override { return waiting_write_.has_value() || writing_; }
  storage::LogStoreCounters counters() const override { return store_.counters(); }
  bool write_now(const std::vector<storage::LogWrite>& writes, storage::WriteResult& result) override;

 private:
  struct WaitingWrite {
    std::vector<storage::LogWrite> writes;
    bool with_vote = false;
    Written done;
  };
  struct WaitingRead {
    raft::Load load;
    Read done;
  };
  void start_next();
  void start_write();
  void start_read();
  void start_checkpoint();
  storage::WriteResult call_store(const std::vector<storage::LogWrite>& writes);
  void finish_write(storage::WriteResult result);
  // Runs `work` at some moment of a job's time, then `done` at its end.
  void run_job(std::function<void()> work, std::function<void()> done);

  Machine& machine_;
  storage::LogStore& store_;
  bool in_flight_ = false;
  bool writing_ = false;
  bool vote_pending_ = false;
  bool write_was_last_ = false;
  std::optional<WaitingWrite> waiting_write_;
  std::deque<WaitingRead> reads_;
};

class SimKeysDisk final : public server::KeysDisk {
 public:
  SimKeysDisk(Machine& machine, storage::KeyStore& store) : machine_(machine), store_(store) {}

  void flush(keyspace::Cut cut, storage::Witness witness, Flushed done) override;
  void write_witness(storage::Witness witness, std::function<void(base::Status)> done) override;
  bool busy() const override { return in_flight_; }

 private:
  void run_job(std::function<void()> work, std::function<void()> done);

  Machine& machine_;
  storage::KeyStore& store_;
  bool in_flight_ = false;
};

}  // namespace leto::sim
