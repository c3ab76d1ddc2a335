#include "server/snapshot_receiver.h"

#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"

namespace leto::server {
namespace {

using Number = unsigned long long;

}  // namespace

SnapshotReceiver::SnapshotReceiver(Replica& replica, const ReplicaParts& parts, uint64_t& keys_generation)
    : replica_(replica),
      environment_(parts.environment),
      stats_(parts.stats),
      semantics_supported_(parts.semantics_supported),
      keys_generation_(keys_generation) {}

void SnapshotReceiver::on_chunk(const raft::Message& message) {
  const auto& chunk = std::get<raft::InstallSnapshot>(message.body);
  // From the switch to the swap the answer is the core's.
  if (state_ == State::kInstalling) return;
  heard_us_ = environment_.clock.monotonic_us();
  if (state_ == State::kIdle || !(stream_ == Stream{.from = message.from, .snapshot = chunk.snapshot})) begin(message);
  take(chunk);
}

void SnapshotReceiver::begin(const raft::Message& message) {
  const auto& chunk = std::get<raft::InstallSnapshot>(message.body);
  give_up();
  stream_ = {.from = message.from, .snapshot = chunk.snapshot};
  last_ = chunk.last;
  size_ = chunk.size;
  checksum_ = chunk.checksum;
  if (size_ == 0 || size_ > storage::kSnapshotBytesMax) return refuse("a size that makes no sense");
  LETO_LOG(kNotice, "snapshot at entry %llu: receiving %llu bytes", Number{last_.index}, Number{size_});
  state_ = State::kReceiving;
  writing_ = true;
  environment_.snapshot_disk.receive(keys_generation_ + 1, size_, [this](const base::Status& status) { written(status, 0); });
}

// Chunks come in order, or again; what does not fit is asked for.
void SnapshotReceiver::take(const raft::InstallSnapshot& chunk) {
  if (state_ == State::kIdle) return;
  const size_t bytes = chunk.data->size();
  const bool differs = chunk.size != size_ || chunk.checksum != checksum_ || chunk.last != last_;
  if (differs) return refuse("its chunks do not belong together");
  const bool fits = state_ == State::kReceiving && bytes > 0 && chunk.offset == expected_ &&
                    bytes <= size_ - expected_ && expected_ - offset_ + bytes <= kWaitingBytesMax;
  if (!fits) {
    if (!writing_) answer(raft::SnapshotAnswer::kNeeds);
    return;
  }
  expected_ += bytes;
  waiting_.push_back(chunk.data);
  write_next();
}

void SnapshotReceiver::write_next() {
  if (writing_ || waiting_.empty()) return;
  writing_ = true;
  const raft::Payload bytes = std::move(waiting_.front());
  waiting_.pop_front();
  environment_.snapshot_disk.append(
      bytes, [this, size = bytes->size()](const base::Status& status) { written(status, size); });
}

void SnapshotReceiver::written(const base::Status& status, size_t bytes) {
  writing_ = false;
  if (!status.is_ok()) return refuse(status.text());
  offset_ += bytes;
  stats_.snapshot_bytes_received += bytes;
  if (offset_ == size_) return finish();
  write_next();
  if (bytes > 0) answer(raft::SnapshotAnswer::kNeeds);
}

void SnapshotReceiver::finish() {
  state_ = State::kFinishing;
  answer(raft::SnapshotAnswer::kNeeds);
  const storage::SnapshotEnd end{.last = last_, .checksum = checksum_, .term = replica_.raft().term()};
  environment_.snapshot_disk.finish(end,
                                    [this](base::Result<LoadedKeys> result) { finished(std::move(result)); });
}

// All of it was checked, and is durable under the next generation's name; raft.db's commit makes it count.
void SnapshotReceiver::finished(base::Result<LoadedKeys> result) {
  if (!result.is_ok()) return refuse(result.status().text());
  loaded_ = std::move(result.value());
  const keyspace::StateHeader& header = loaded_->header;
  if (header.semantics_level > semantics_supported_) {
    return refuse(base::format("it is of semantics level %llu, this node supports up to %u; upgrade this node",
                               Number{header.semantics_level}, semantics_supported_));
  }
  if (header.applied_index != last_.index || header.configuration_index > last_.index)
    return refuse("it is of other entries than was said");
  raft::SnapshotInstall install{.last = last_,
                                .configuration = {.index = header.configuration_index, .configuration = {}},
                                .keys_generation = keys_generation_ + 1};
  if (!raft::decode_configuration(header.configuration, install.configuration.configuration))
    return refuse("it holds no configuration");
  state_ = State::kInstalling;
  if (replica_.raft().install_snapshot(std::move(install))) {
    environment_.waker.wake();
    return;
  }
  LETO_LOG(kNotice, "snapshot at entry %llu: not needed any more", Number{last_.index});
  give_up();
}

void SnapshotReceiver::on_installed() {
  LETO_ASSERT(state_ == State::kInstalling && loaded_.has_value(), "a switch to a snapshot that nobody checked");
  ++keys_generation_;
  ++stats_.snapshots_installed;
  replica_.adopt_state(std::move(*loaded_));
  replica_.raft().snapshot_loaded();
  environment_.snapshot_disk.forget();
  loaded_.reset();
  state_ = State::kIdle;
  stream_ = {};
  LETO_LOG(kNotice, "snapshot at entry %llu: installed", Number{last_.index});
  on_swapped();
}

void SnapshotReceiver::check_bounds() const {
  LETO_ASSERT(expected_ - offset_ <= kWaitingBytesMax && expected_ <= size_,
              base::format("I15: chunks up to %llu of %llu wait, written are %llu", Number{expected_}, Number{size_}, Number{offset_}));
}

void SnapshotReceiver::on_tick() {
  const bool silent = environment_.clock.monotonic_us() - heard_us_ > kSilentUs;
  if (state_ != State::kReceiving || !silent) return;
  LETO_LOG(kNotice, "snapshot at entry %llu: its sender is silent, given up", Number{last_.index});
  give_up();
}

void SnapshotReceiver::answer(raft::SnapshotAnswer kind) {
  replica_.raft().answer_snapshot(stream_.from,
                                  {.snapshot = stream_.snapshot, .answer = kind, .offset = offset_, .match = 0});
  environment_.waker.wake();
}

void SnapshotReceiver::refuse(const std::string& why) {
  LETO_LOG(kWarning, "snapshot at entry %llu: refused: %s", Number{last_.index}, why.c_str());
  answer(raft::SnapshotAnswer::kRefused);
  give_up();
}

void SnapshotReceiver::give_up() {
  if (state_ != State::kIdle) environment_.snapshot_disk.discard();
  state_ = State::kIdle;
  stream_ = {};
  offset_ = expected_ = 0;
  writing_ = false;
  waiting_.clear();
  if (loaded_) environment_.snapshot_disk.free_keys(std::move(*loaded_));
  loaded_.reset();
}

}  // namespace leto::server
