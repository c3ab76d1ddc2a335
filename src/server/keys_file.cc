#include "server/keys_file.h"

#include <utility>

#include "base/assert.h"
#include "base/log.h"
#include "storage/damage.h"
#include "storage/load.h"
#include "storage/snapshot_file.h"

namespace leto::server {

struct KeysFile::FlushJob {
  keyspace::Cut cut;
  storage::Witness witness;
  Flushed done;
  bool begun = false;
  bool committed = false;
  bool leaves_garbage = false;
  base::Status status = {};
  base::Status checkpoint = {};
};

KeysFile::KeysFile(JobRunner& jobs, KeysPlace place, std::unique_ptr<storage::KeyStore> store)
    : jobs_(jobs), place_(std::move(place)), store_(std::move(store)) {}

base::Status KeysFile::close() {
  LETO_ASSERT(!busy_, "the keys file is closed under a job");
  return store_->close();
}

void KeysFile::begin() {
  LETO_ASSERT(!busy_, "a second job of the keys file");
  busy_ = true;
}

void KeysFile::flush(keyspace::Cut cut, storage::Witness witness, Flushed done) {
  begin();
  step_flush(std::make_shared<FlushJob>(FlushJob{.cut = std::move(cut), .witness = witness, .done = std::move(done)}));
}

void KeysFile::step_flush(const std::shared_ptr<FlushJob>& job) {
  const auto work = [this, job] {
    if (!std::exchange(job->begun, true)) {
      job->status = store_->begin_flush(job->cut, job->witness);
      return;
    }
    storage::FlushStep step = store_->step_flush(kFlushStepBytes);
    job->status = std::move(step.status);
    job->committed = step.done;
  };
  jobs_.run(work, [this, job] {
    if (job->status.is_ok() && !job->committed) {
      step_flush(job);
    } else {
      end_flush(job);
    }
  });
}

// Not on anybody's path: the flush is durable in the WAL already.
void KeysFile::end_flush(const std::shared_ptr<FlushJob>& job) {
  const auto work = [this, job] {
    if (job->status.is_ok()) job->checkpoint = store_->checkpoint();
    job->leaves_garbage = store_->has_garbage();
  };
  jobs_.run(work, [this, job] {
    busy_ = false;
    garbage_waits_ = job->leaves_garbage;
    damage_.clear();
    if (!job->checkpoint.is_ok()) {
      if (storage::is_damage(job->checkpoint.text())) damage_ = job->checkpoint.text();
      LETO_LOG(kWarning,
               "keys file: the checkpoint failed, or the removal of old values before it, and is tried again after the next flush: %s",
               job->checkpoint.text().c_str());
    }
    job->done(job->status, std::move(job->cut));
  });
}

void KeysFile::write_witness(storage::Witness witness, StatusDone done) {
  begin();
  auto status = std::make_shared<base::Status>();
  jobs_.run([this, witness, status] { *status = store_->write_witness(witness); },
            [this, status, done = std::move(done)] {
              busy_ = false;
              done(std::move(*status));
            });
}

void KeysFile::load(LoadDone done) {
  begin();
  struct Job {
    LoadedKeys loaded;
    base::Status status;
    bool finds_garbage = false;
  };
  auto job = std::make_shared<Job>();
  const auto work = [this, job] {
    job->loaded.header = store_->header();
    job->status = storage::load_keyspace(*store_, job->loaded.keyspace);
    job->finds_garbage = store_->has_garbage();
  };
  jobs_.run(work, [this, job, done = std::move(done)] {
    busy_ = false;
    garbage_waits_ = job->finds_garbage;
    if (!job->status.is_ok()) return done(std::move(job->status));
    done(std::move(job->loaded));
  });
}

void KeysFile::switch_to(uint64_t generation, StatusDone done) {
  begin();
  auto status = std::make_shared<base::Status>();
  const auto work = [this, generation, status] {
    base::Result<std::unique_ptr<storage::KeyStore>> opened = storage::KeyStore::open(
        {.directory = place_.directory, .vfs = place_.vfs, .generation = generation});
    if (!opened.is_ok()) {
      *status = opened.take_status();
      return;
    }
    // What the old file says counts no more, not even that it could not be closed.
    if (const base::Status closed = store_->close(); !closed.is_ok()) store_.reset();
    store_ = std::move(opened.value());
    storage::remove_other_generations(place_.directory, place_.vfs, generation);
  };
  jobs_.run(work, [this, status, done = std::move(done)] {
    busy_ = false;
    done(std::move(*status));
  });
}

}  // namespace leto::server
