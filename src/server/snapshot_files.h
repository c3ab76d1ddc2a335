// The files of snapshots: the copy that is sent, the keys file that comes; the jobs done to them, over whatever
// runs jobs. Refuses to know peers and Raft.
//
// Invariants: every job is bounded but the last one of a file that comes, and verify(), which read all of it; a file that was
// given up is touched by no later job but the one that removes it.
#pragma once

#include <cstdint>
#include <memory>

#include "server/environment.h"
#include "server/keys_file.h"
#include "server/options.h"

namespace leto::server {

class SnapshotFiles : public SnapshotDisk {
 public:
  // Of the keys file that one job copies.
  static constexpr size_t kCopyStepBytes = 1 << 20;
  // A file is neither copied nor received unless more than it and the ballast is free, for the log and the flushes that go
  // on meanwhile: twice disk-floor, with which a disk is not short of room, and at least so much.
  static constexpr uint64_t kMarginBytesMin = 16 << 20;

  // The runners outlive this, one for what leaves, one for what comes; so do the options.
  SnapshotFiles(JobRunner& leaving, JobRunner& coming, KeysPlace place, const Options& options);
  ~SnapshotFiles() override;

  void copy(uint64_t generation, CopyDone done) override;
  void read(uint64_t offset, size_t bytes_max, ReadDone done) override;
  void drop_copy() override;
  void verify(uint64_t generation, StatusDone done) override;
  void receive(uint64_t generation, uint64_t size, StatusDone done) override;
  void append(raft::Payload bytes, StatusDone done) override;
  void finish(const storage::SnapshotEnd& end, LoadDone done) override;
  void discard() override;
  void forget() override { coming_.reset(); }
  void free_keys(LoadedKeys keys) override;

 private:
  struct Leaving;
  struct Coming;
  void step_copy(const std::shared_ptr<Leaving>& copy, const CopyDone& done);
  uint64_t spare_bytes() const;

  JobRunner& leaving_jobs_;
  JobRunner& coming_jobs_;
  const KeysPlace place_;
  const Options& options_;
  uint64_t next_number_ = 0;            // Of a copy; two at most are there at once.
  std::shared_ptr<Leaving> leaving_;    // Null: there is no copy.
  std::shared_ptr<Coming> coming_;
};

}  // namespace leto::server
