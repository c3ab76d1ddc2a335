// The current keys file: its store, and the jobs that are done to it, over whatever runs jobs. Refuses to know
// what is flushed when, threads and libuv.
//
// Invariants: one thing at a time is done to the store; a flush is one transaction over several bounded jobs, and
// ends by being committed or rolled back.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "server/environment.h"
#include "storage/free_space.h"

namespace leto::server {

// Where keys files are.
struct KeysPlace {
  std::string directory;   // Absolute.
  std::string vfs;         // Of SQLite; empty: the default one.
  storage::FreeBytes free_bytes = {};   // Called in jobs. Not set: there is always room.
};

class KeysFile : public KeysDisk {
 public:
  // Bytes of keys and values that one job of a flush writes.
  static constexpr size_t kFlushStepBytes = 1 << 20;

  // `jobs` outlives this.
  KeysFile(JobRunner& jobs, KeysPlace place, std::unique_ptr<storage::KeyStore> store);
  // Nothing may be asked for afterwards. REQUIRES: !busy().
  base::Status close();

  bool busy() const override { return busy_; }
  bool garbage_waits() const override { return garbage_waits_; }
  std::string damage() const override { return damage_; }
  void flush(keyspace::Cut cut, storage::Witness witness, Flushed done) override;
  void write_witness(storage::Witness witness, StatusDone done) override;
  void load(LoadDone done) override;
  void switch_to(uint64_t generation, StatusDone done) override;

 private:
  struct FlushJob;
  void step_flush(const std::shared_ptr<FlushJob>& job);
  void end_flush(const std::shared_ptr<FlushJob>& job);
  void begin();

  JobRunner& jobs_;
  const KeysPlace place_;
  std::unique_ptr<storage::KeyStore> store_;   // Touched by the job in flight alone.
  bool busy_ = false;
  bool garbage_waits_ = false;   // As of the last flush or load.
  std::string damage_;           // Of the last checkpoint.
};

}  // namespace leto::server
