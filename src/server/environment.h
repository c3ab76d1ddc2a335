// What a node needs of the world: disks, network, time. Two implementations each: libuv and SQLite here,
// the simulator's in tests/sim. Refuses to know either. Everything is called, and calls back, on the
// loop thread; no call blocks, and no call calls back before it has returned.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "keyspace/keyspace.h"
#include "raft/raft.h"
#include "server/stats.h"
#include "storage/key_store.h"
#include "storage/log_store.h"

namespace leto::server {

// How long commits of raft.db took, for INFO.
struct DiskTimes {
  uint64_t commits = 0;
  uint64_t last_us = 0;
  uint64_t average_us = 0;   // Moving, over about the last eight.
  Histogram commit_us;       // Of the commit alone, without the way to the worker and back.
};

// The job runner in front of raft.db: at most one job in flight; reads and checkpoints are jobs too, and what
// is asked for meanwhile is queued behind them.
class LogDisk {
 public:
  using Written = std::function<void(storage::WriteResult)>;
  using Read = std::function<void(base::Result<std::vector<raft::Entry>>)>;
  virtual ~LogDisk() = default;
  // REQUIRES: !busy(). The caller does not need `writes` again. `with_vote`: the job carries a term or vote, so no checkpoint joins it.
  virtual void write(std::vector<storage::LogWrite> writes, bool with_vote, Written done) = 0;
  // Queued behind the write in flight, if any; runs after its commit.
  virtual void read(const raft::Load& load, Read done) = 0;
  // A write was handed over and its `done` was not called yet.
  virtual bool busy() const = 0;
  virtual storage::LogStoreCounters counters() const = 0;
  virtual DiskTimes times() const { return {}; }
  // If raft.db may be written on the loop itself without harm (one voter, fast disk): does it and returns
  // true; else false and nothing happened. The result is in `result`.
  virtual bool write_now(const std::vector<storage::LogWrite>& writes, storage::WriteResult& result) = 0;
};

// The job runner in front of keys-<generation>.db: at most one job in flight.
class KeysDisk {
 public:
  // The cut comes back to be destroyed, or to be restored if the flush failed.
  using Flushed = std::function<void(const base::Status&, keyspace::Cut)>;
  virtual ~KeysDisk() = default;
  // REQUIRES: !busy().
  virtual void flush(keyspace::Cut cut, storage::Witness witness, Flushed done) = 0;
  virtual void write_witness(storage::Witness witness, std::function<void(base::Status)> done) = 0;
  virtual bool busy() const = 0;
};

// Peers. Messages may be lost, doubled and reordered, never changed.
class Network {
 public:
  virtual ~Network() = default;
  virtual void send(raft::Message message) = 0;
  // Whom to be connected to; called whenever the configuration in force changed.
  virtual void set_members(const raft::Configuration& configuration) = 0;
  // Asks who is at `raft_address`, and if `adopt` is set takes that node, which must be in no cluster of its own,
  // into this one. `expected` 0: whoever is there. Calls back once, within a few seconds.
  struct Found {
    raft::Member member;       // role is not set.
  };
  using Dialed = std::function<void(base::Result<Found>)>;
  // How the error ends if the node there cannot be taken in just now, but a moment later it can.
  static constexpr const char* kBusy = "busy, try again";
  virtual void adopt(const std::string& raft_address, raft::NodeId expected, const std::string& id, Dialed done) = 0;
};

class Clock {
 public:
  virtual ~Clock() = default;
  virtual uint64_t monotonic_us() = 0;
  virtual uint64_t wall_ms() = 0;
};

// Wakes the loop: on_loop_turn() is called again soon, or after a while.
class Waker {
 public:
  virtual ~Waker() = default;
  virtual void wake() = 0;
  virtual void wake_after_us(uint64_t microseconds) = 0;   // The earliest of all wishes counts.
};

struct Environment {
  LogDisk& log_disk;
  KeysDisk& keys_disk;
  Network& network;
  Clock& clock;
  Waker& waker;
};

}  // namespace leto::server
