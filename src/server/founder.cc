#include "server/founder.h"

#include <algorithm>
#include <vector>

#include "base/format.h"
#include "base/log.h"
#include "command/entry.h"
#include "storage/aside.h"
#include "storage/snapshot_file.h"
#include "storage/vfs_file.h"

namespace leto::server {

namespace {

using base::Result;
using base::Status;

// At a time, of a log whose first write is its third entry as a rule.
constexpr size_t kReadBytes = 64 << 10;

std::string mark_path(const std::string& directory) { return directory + "/misplaced"; }

// What cannot be read here may be a write of a newer program.
bool is_write(const raft::Entry& entry) {
  if (entry.kind != raft::EntryKind::kCommands) return false;
  Result<command::EntryReader> reader = command::EntryReader::open(*entry.payload, command::kSemanticsSupported);
  return !reader.is_ok() || reader.value().count() > 0;
}

// As with an empty directory. A new keys file, as the old one may hold the witness of the log that goes; what is left of
// the old one is removed when the stores are open.
Status begin_anew(OpenedDirectory& opened) {
  storage::Identity& identity = opened.start.identity;
  LETO_LOG(kNotice, "%s had no data in the cluster that it founded: it joins as a new node", identity.id.c_str());
  const std::string next = storage::keys_path(opened.lock.path(), identity.keys_generation + 1);
  if (Status status = storage::remove_database("", next); !status.is_ok()) return status;
  ++identity.keys_generation;
  identity.cluster_id.clear();
  identity.cluster_secret.clear();
  identity.founded = false;
  opened.start.recovered = {};
  return opened.log->reset(identity);
}

}  // namespace

Status mark_misplaced(const std::string& directory, const std::string& sentence) {
  return storage::write_note(mark_path(directory), sentence + "\n");
}

std::string misplaced_sentence(const std::string& directory) {
  std::string sentence = storage::read_note(mark_path(directory));
  sentence.resize(std::min(sentence.size(), sentence.find('\n')));
  return sentence;
}

Status forget_misplaced(const std::string& directory) { return storage::remove_note(mark_path(directory)); }

Result<bool> has_commands(storage::LogStore& log, const raft::Recovered& recovered) {
  // Only what was written makes a log long enough to be compacted.
  if (recovered.base.index > 0) return true;
  for (raft::Index next = 1; next <= recovered.last.index;) {
    Result<std::vector<raft::Entry>> entries = log.read(next, recovered.last.index, kReadBytes);
    if (!entries.is_ok()) return entries.take_status();
    if (std::any_of(entries.value().begin(), entries.value().end(), is_write)) return true;
    next += entries.value().size();
  }
  return false;
}

Status judge_mark(const Options& options, OpenedDirectory& opened) {
  const std::string directory = opened.lock.path();
  const std::string sentence = misplaced_sentence(directory);
  if (sentence.empty()) return {};
  const bool has_cluster = !opened.start.identity.cluster_id.empty();
  if (has_cluster && !opened.start.identity.founded) return forget_misplaced(directory);
  if (!options.join.is_set()) return Status::error(sentence);
  if (!has_cluster) return {};
  Result<bool> written = has_commands(*opened.log, opened.start.recovered);
  if (!written.is_ok()) return written.take_status();
  if (!written.value()) return begin_anew(opened);
  return Status::error(base::format(
      "%s; but %s holds writes that it acknowledged in a cluster of its own. Move it away and join with an empty -raftdir; "
      "or make it a cluster of its own for good with leto --recover %s --new-cluster, and read them there",
      sentence.c_str(), directory.c_str(), directory.c_str()));
}

}  // namespace leto::server
