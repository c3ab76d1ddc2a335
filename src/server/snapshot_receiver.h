// The follower's side of snapshots (D9): puts the chunks together, has the file checked and loaded beside the
// loop, lets the core switch over in one commit of raft.db, and then swaps the keyspace within one turn. Refuses to
// know files and sockets.
//
// Invariants: nothing of a snapshot counts before all of it was checked and is durable; only the same snapshot of
// the same sender is resumed; what waits for the disk is bounded.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>

#include "server/environment.h"
#include "server/replica.h"

namespace leto::server {

class SnapshotReceiver {
 public:
  // Chunks that wait for the one being written; those beyond it are sent again.
  static constexpr size_t kWaitingBytesMax = 4 << 20;
  // A stream that is silent for so long is given up.
  static constexpr uint64_t kSilentUs = 60000000;

  // `keys_generation` says which keys file is current, always; this raises it.
  SnapshotReceiver(Replica& replica, const ReplicaParts& parts, uint64_t& keys_generation);

  void on_chunk(const raft::Message& message);
  // The core's switch is durable (Replica::on_installed).
  void on_installed();
  void on_tick();
  // Panics if it holds more than its bounds (I15). Between turns.
  void check_bounds() const;
  // A snapshot is under way: bytes that have come, of so many.
  bool receiving() const { return state_ != State::kIdle; }
  uint64_t received() const { return offset_; }
  uint64_t size() const { return size_; }

  // Set by the owner: the keyspace was swapped; the file of the new generation is to be made current.
  std::function<void()> on_swapped;

 private:
  enum class State : uint8_t { kIdle, kReceiving, kFinishing, kInstalling };
  struct Stream {
    raft::NodeId from = raft::kNobody;
    uint64_t snapshot = 0;
    bool operator==(const Stream&) const = default;
  };

  void begin(const raft::Message& message);
  void take(const raft::InstallSnapshot& chunk);
  void write_next();
  void written(const base::Status& status, size_t bytes);
  void finish();
  void finished(base::Result<LoadedKeys> result);
  void answer(raft::SnapshotAnswer kind);
  void refuse(const std::string& why);
  void give_up();

  Replica& replica_;
  Environment environment_;
  Stats& stats_;
  const uint16_t semantics_supported_;
  uint64_t& keys_generation_;

  State state_ = State::kIdle;
  Stream stream_;
  raft::EntryId last_;
  uint64_t size_ = 0;
  uint32_t checksum_ = 0;
  uint64_t offset_ = 0;             // Written.
  uint64_t expected_ = 0;           // offset_, and what waits or is being written.
  bool writing_ = false;
  std::deque<raft::Payload> waiting_;
  uint64_t heard_us_ = 0;
  std::optional<LoadedKeys> loaded_;   // From the end of the checks to the swap.
};

}  // namespace leto::server
