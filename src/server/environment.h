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
#include "peer/forward.h"
#include "peer/limits.h"
#include "raft/raft.h"
#include "server/stats.h"
#include "storage/key_store.h"
#include "storage/log_store.h"
#include "storage/snapshot_file.h"

namespace leto::server {

// How long commits of raft.db took, for INFO.
struct DiskTimes {
  uint64_t commits = 0;
  uint64_t last_us = 0;
  uint64_t average_us = 0;   // Moving, over about the last eight.
  Histogram commit_us;       // Of the commit alone, without the way to the worker and back.
};

// Of disk-floor: with so much room a disk has plenty.
inline constexpr uint64_t kPlentyFactor = 2;

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
  // LogStore::compact(), queued as read(). `done` is told the entry before the first one that is left.
  using Compacted = std::function<void(base::Result<raft::EntryId>)>;
  virtual void compact(const storage::LogDrop& drop, Compacted done) = 0;
  // LogStore::look_at_room(), queued as compact(). One at a time.
  using RoomSeen = std::function<void(base::Result<storage::LogRoom>)>;
  virtual void look_at_room(const storage::RoomWish& wish, RoomSeen done) = 0;
  // A write was handed over and its `done` was not called yet.
  virtual bool busy() const = 0;
  virtual storage::LogStoreCounters counters() const = 0;
  virtual DiskTimes times() const { return {}; }
  // If raft.db may be written on the loop itself without harm (one voter, fast disk): does it and returns
  // true; else false and nothing happened. The result is in `result`.
  virtual bool write_now(const std::vector<storage::LogWrite>& writes, storage::WriteResult& result) = 0;
};

// Runs work beside the loop, on what was handed over for it: one piece at a time, in the order of the calls.
class JobRunner {
 public:
  virtual ~JobRunner() = default;
  // `work` runs beside the loop, then `done` on it.
  virtual void run(std::function<void()> work, std::function<void()> done) = 0;
};

// A keyspace that was read from a keys file, all of it checked.
struct LoadedKeys {
  keyspace::Keyspace keyspace;
  keyspace::StateHeader header;
};

using StatusDone = std::function<void(base::Status)>;
using LoadDone = std::function<void(base::Result<LoadedKeys>)>;

// keys-<generation>.db as the loop sees it: one thing at a time is done to it.
class KeysDisk {
 public:
  // The cut comes back to be destroyed, or to be flushed again if that failed: then nothing of it is in the file.
  using Flushed = std::function<void(const base::Status&, keyspace::Cut)>;
  virtual ~KeysDisk() = default;
  virtual bool busy() const = 0;
  // Old values or flushed databases are still in the file: each flush removes a bounded part of them.
  virtual bool garbage_waits() const { return false; }
  // What the checkpoint behind the last flush met, if that was damage; else empty.
  virtual std::string damage() const { return {}; }
  // All of these REQUIRE !busy().
  virtual void flush(keyspace::Cut cut, storage::Witness witness, Flushed done) = 0;
  virtual void write_witness(storage::Witness witness, StatusDone done) = 0;
  // Reads the whole file into a keyspace of its own.
  virtual void load(LoadDone done) = 0;
  // raft.db says that the file of `generation` is current: opens it, closes and removes the one before.
  virtual void switch_to(uint64_t generation, StatusDone done) = 0;
};

// Copies of keys files: one that this node sends to others, one that it receives. Each has its own order of
// calls; the two do not disturb each other.
class SnapshotDisk {
 public:
  struct Copy {
    keyspace::StateHeader header;
    uint64_t size = 0;        // Bytes.
    uint32_t checksum = 0;    // CRC32C.
  };
  using CopyDone = std::function<void(base::Result<Copy>)>;
  using ReadDone = std::function<void(base::Result<std::string>)>;
  virtual ~SnapshotDisk() = default;
  // Copies the keys file of `generation` as of its last flush; the copy before goes.
  virtual void copy(uint64_t generation, CopyDone done) = 0;
  // At most so many bytes of the copy. REQUIRES: copy() gave one.
  virtual void read(uint64_t offset, size_t bytes_max, ReadDone done) = 0;
  // A copy that is being made is given up; its `done` is not called any more.
  virtual void drop_copy() = 0;
  // Reads the keys file of `generation`, all of it, as the disk has it now: an error if it is damaged.
  virtual void verify(uint64_t generation, StatusDone done) = 0;

  // Begins the file of `generation`, which is not current, for `size` bytes; one that came before it goes.
  virtual void receive(uint64_t generation, uint64_t size, StatusDone done) = 0;
  virtual void append(raft::Payload bytes, StatusDone done) = 0;
  // All bytes have come: checks everything, loads it, and makes the file durable with this node's own witness.
  virtual void finish(const storage::SnapshotEnd& end, LoadDone done) = 0;
  // The file that came is removed, whatever became of it; no `done` is called any more.
  virtual void discard() = 0;
  // The file that came is the current one now: it is not this one's any more.
  virtual void forget() = 0;
  // Frees keys that finish() gave, beside the loop: for each of them there is something to do.
  virtual void free_keys(LoadedKeys keys) = 0;
};

// Peers. Messages may be lost, doubled and reordered, never changed.
class Network {
 public:
  virtual ~Network() = default;
  virtual void send(raft::Message message) = 0;
  // False: nothing of it left, and nothing of it will arrive. True: it may arrive, or be lost.
  virtual bool send_forward(const peer::Forward& forward) = 0;
  // May be lost.
  virtual void send_forward_reply(const peer::ForwardReply& reply) = 0;
  // Whom to be connected to, and who is a member for certain; called whenever one of the two changed.
  virtual void set_members(const raft::Configuration& in_force, const raft::Configuration& committed) = 0;
  // Asks who is at an address, and if it is `id` takes that node, which must be in no cluster of its own, into this one. Calls
  // back once, within a few seconds; an error is why who is there is not taken in.
  struct AdoptionWish {
    std::string raft_address;
    raft::NodeId expected = raft::kNobody;   // kNobody: whoever is there.
    std::string id;
    bool takes_in = true;        // False: who is there is found, and stays what it is.
  };
  struct Found {
    raft::Member member{};       // role is not set.
    bool was_member = false;     // Of this cluster, as it says: then it was removed if it is none now.
    bool is_foreign = false;     // Of no cluster or another one, and stays so.
    std::string silence{};       // Nobody answers there, and why; the rest is not set then. Else empty.
  };
  using Dialed = std::function<void(base::Result<Found>)>;
  // How the error ends if the node there cannot be taken in just now, but a moment later it can.
  static constexpr const char* kBusy = "busy, try again";
  virtual void adopt(AdoptionWish wish, Dialed done) = 0;
  // What a peer said of itself in the handshake of the connection that is up now.
  struct Abilities {
    bool known = false;         // False: no connection is up.
    uint16_t semantics = 0;     // The highest level that it can apply.
    uint64_t features = 0;      // peer::kFeature bits that it and this node have.
  };
  virtual Abilities abilities(raft::NodeId node) const = 0;
  // The host that connections of a peer on another machine come from; empty: it is on this one, or was not seen.
  virtual std::string machine_of(raft::NodeId) const { return {}; }
  // What a peer is called, by what it said if no configuration has it; empty: it is not known.
  virtual std::string id_of(raft::NodeId) const { return {}; }
  // The cluster's: who cannot apply it is refused from now on.
  virtual void set_semantics_level(uint16_t level) = 0;
};

class Clock {
 public:
  virtual ~Clock() = default;
  virtual uint64_t monotonic_us() = 0;
  virtual uint64_t wall_ms() = 0;
  // From whatever beginning, for what a command takes. It stands still where nobody asks.
  virtual uint64_t stopwatch_ns() { return 0; }
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
  SnapshotDisk& snapshot_disk;
  Network& network;
  Clock& clock;
  Waker& waker;
};

}  // namespace leto::server
