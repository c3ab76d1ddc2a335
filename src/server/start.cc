#include "server/start.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <utility>

#include "base/format.h"
#include "base/log.h"
#include "base/node_id.h"
#include "server/founder.h"
#include "server/lost_keys.h"
#include "server/own_address.h"
#include "server/removal_note.h"
#include "server/repair.h"
#include "server/secure_random.h"
#include "storage/damage.h"
#include "storage/first_look.h"
#include "storage/lost_tail.h"
#include "storage/peek.h"
#include "storage/snapshot_file.h"
#include "storage/vfs_file.h"

namespace leto::server {

namespace {

using base::Result;
using base::Status;

constexpr size_t kClusterIdBytes = 16;
constexpr size_t kClusterSecretBytes = 32;
// So that the nodes of a cluster do not all checkpoint at the same moment.
constexpr uint64_t kCheckpointJitter = 256;
// In SQLite's and in our own words.
constexpr const char* kDiskFull = "disk is full";

std::string made_id() {
  return base::format("node-%08llx", static_cast<unsigned long long>(secure_random_number() >> 32));
}

raft::Configuration founding_configuration(const Options& options, const storage::Identity& identity) {
  raft::Configuration configuration;
  configuration.members.push_back({.node = identity.node,
                                   .id = identity.id,
                                   .role = raft::MemberRole::kVoter,
                                   .raft_address = own_raft_address(options, ""),
                                   .client_address = own_client_address(options, "")});
  return configuration;
}

// Log, term and first configuration, then the cluster's id: a founding that is cut off in between has a log
// and no cluster, and is recognised by that.
Status found_cluster(const Options& options, OpenedDirectory& opened) {
  raft::Recovered& recovered = opened.start.recovered;
  storage::Identity& identity = opened.start.identity;
  if (recovered.last.index == 0) {
    const raft::Configuration configuration = founding_configuration(options, identity);
    const raft::Entry first{.id = {.term = 1, .index = 1},
                            .kind = raft::EntryKind::kConfiguration,
                            .payload = std::make_shared<const std::string>(raft::encode_configuration(configuration))};
    const raft::HardState hard_state{.term = 1, .voted_for = raft::kNobody};
    const storage::LogWrite write{.hard_state = hard_state, .truncate_from = std::nullopt, .append = {first}, .install = {}};
    if (opened.log->write({write}) != storage::WriteResult::kDurable) {
      return Status::error(opened.lock.path() + ": the disk is full");
    }
    recovered.hard_state = hard_state;
    recovered.last = first.id;
    recovered.terms = {{.first = 1, .term = 1}};
    recovered.configurations = {{.index = 1, .configuration = configuration}};
  }
  make_cluster(identity);
  identity.founded = true;
  opened.start.founding = true;
  return opened.log->set_identity(identity);
}

// Whether the node is known to be a member, or to have been one. A founder made itself one; who was taken in is one once that is
// committed: a leader that lost its office before another had the entry may have been the only one to know of it.
bool is_member(const NodeStart& start) {
  const std::vector<raft::ConfigurationAt> known = configurations_known(start);
  return std::any_of(known.begin(), known.end(), [&start](const raft::ConfigurationAt& each) {
    const bool counts = start.identity.founded || each.index <= known_committed(start);
    return counts && each.configuration.find(start.identity.node) != nullptr;
  });
}

// After a repair it is a new node under its old id, and in its old cluster if that could be read.
Status make_identity(const Options& options, OpenedDirectory& opened) {
  storage::Identity& identity = opened.start.identity;
  identity.id = options.id.empty() ? made_id() : options.id;
  identity.node = secure_random_number();
  if (const std::optional<Rejoin> rejoin = read_rejoin(opened.lock.path())) {
    identity.id = rejoin->id;
    identity.cluster_id = rejoin->cluster_id;
    identity.cluster_secret = rejoin->cluster_secret;
  }
  return opened.log->set_identity(identity);
}

Status check_id(const Options& options, const std::string& directory, const std::string& kept) {
  if (!kept.empty() && !base::is_node_id(kept)) {
    return Status::error(base::format("%s belongs to node %s, which cannot be a node's id: %s; leto --recover %s --new-cluster goes "
                                      "on with its data under the id %s",
                                      directory.c_str(), kept.c_str(), base::kNodeIdRule, directory.c_str(),
                                      base::nearest_node_id(kept).c_str()));
  }
  if (options.id.empty() || kept.empty() || options.id == kept) return {};
  return Status::error(base::format("%s belongs to node %s, not to %s; give this node its own -raftdir",
                                    directory.c_str(), kept.c_str(), options.id.c_str()));
}

Status settle_identity(const Options& options, OpenedDirectory& opened) {
  std::optional<storage::Identity> kept = opened.log->identity();
  storage::Identity& identity = opened.start.identity;
  if (kept) {
    identity = std::move(*kept);
    if (Status status = check_id(options, opened.lock.path(), identity.id); !status.is_ok()) return status;
  } else if (Status made = make_identity(options, opened); !made.is_ok()) {
    return made;
  }
  return opened.lock.set_id(identity.id);
}

void find_targets(const Options& options, OpenedDirectory& opened) {
  if (options.join.is_set()) opened.targets.push_back(options.join);
  const std::optional<Rejoin> rejoin = read_rejoin(opened.lock.path());
  if (!rejoin) return;
  opened.role = rejoin->role;
  for (const Address& each : rejoin->addresses) {
    if (each != options.join) opened.targets.push_back(each);
  }
}

// A founder that was stopped before its first write is held to what holds for one that was just made.
Status settle_founding(OpenedDirectory& opened) {
  if (!opened.start.identity.founded) return {};
  Result<bool> written = has_commands(*opened.log, opened.start.recovered);
  if (!written.is_ok()) return written.take_status();
  opened.start.founding = !written.value();
  return {};
}

Status go_on_in_cluster(OpenedDirectory& opened) {
  NodeStart& start = opened.start;
  // Taken in, but not known to be in the configuration when it stopped: it asks again, which does no harm to a member.
  const bool member = is_member(start);
  opened.joins = !opened.targets.empty() && !member;
  if (Status status = member ? forget_rejoin(opened.lock.path()) : Status(); !status.is_ok()) return status;
  return settle_founding(opened);
}

// Whether this node founds a cluster, joins one, or goes on in its own.
Status settle_cluster(const Options& options, OpenedDirectory& opened) {
  NodeStart& start = opened.start;
  if (!start.identity.cluster_id.empty()) return go_on_in_cluster(opened);
  if (opened.targets.empty()) return found_cluster(options, opened);
  opened.joins = true;
  if (start.recovered.last.index == 0) return {};
  // A founding that was cut off before it had a cluster; now the node is wanted elsewhere.
  start.recovered = {};
  return opened.log->reset(start.identity);
}

// Its keys are loaded once the loop runs.
Status open_keys(OpenedDirectory& opened) {
  NodeStart& start = opened.start;
  const uint64_t generation = start.identity.keys_generation;
  const bool there = storage::file_exists("", storage::keys_path(opened.lock.path(), generation));
  Result<std::unique_ptr<storage::KeyStore>> keys = storage::KeyStore::open(
      {.directory = opened.lock.path(), .vfs = "", .generation = generation});
  if (!keys.is_ok()) return keys.take_status();
  opened.keys = std::move(keys.value());
  start.header = opened.keys->header();
  if (Status status = check_semantics(opened.lock.path(), start.header.semantics_level); !status.is_ok()) return status;
  start.witness = opened.keys->witness();
  start.has_keys = start.header.applied_index > 0;
  start.lacks_keys = keys_are_lost(opened.lock.path(), generation);
  start.removal = noted_removal(opened.lock.path(), start.identity.node);
  if (Status status = check_together(opened.lock.path(), *opened.keys, start); !status.is_ok()) return status;
  // Not before the one that counts is known to be there and to fit: what else there is may be all that is left.
  if (there) storage::remove_other_generations(opened.lock.path(), "", generation);
  return start.lacks_keys ? Status() : forget_lost_keys(opened.lock.path());
}

// Of a node that would found a cluster if nothing tells it where to join.
Status check_founder(const Options& options, const std::string& directory) {
  if (options.role != NodeRole::kLearner || options.join.is_set() || read_rejoin(directory)) return {};
  return Status::error("-role learner needs -join: a cluster is founded by a voter");
}

Status check_log_options(const Options& options, const std::string& directory) {
  Result<std::string> kept = storage::peek_id(directory);
  if (!kept.is_ok()) return kept.take_status();
  if (Status status = check_id(options, directory, kept.value()); !status.is_ok()) return status;
  return kept.value().empty() ? check_founder(options, directory) : Status();
}

Status open_stores(const Options& options, OpenedDirectory& opened) {
  storage::LogStoreOptions log_options;
  log_options.directory = opened.lock.path();
  log_options.segment_bytes_max = options.log_segment;
  log_options.checkpoint_frames += secure_random_number() % kCheckpointJitter;
  opened.checkpoint_frames = log_options.checkpoint_frames;
  log_options.ballast_bytes = options.ballast_bytes;
  log_options.free_bytes = &storage::free_bytes;
  log_options.spare_bytes = kPlentyFactor * options.disk_floor;
  log_options.must_have_identity = storage::has_keys_files(opened.lock.path());
  Result<std::unique_ptr<storage::LogStore>> log = storage::LogStore::open(log_options);
  if (!log.is_ok()) return log.take_status();
  opened.log = std::move(log.value());
  opened.start.recovered = opened.log->recovered();
  opened.start.seed = secure_random_number();
  if (Status status = settle_identity(options, opened); !status.is_ok()) return status;
  find_targets(options, opened);
  if (Status status = judge_mark(options, opened); !status.is_ok()) return status;
  // What is there is judged before anything is made up beside it.
  if (Status status = open_keys(opened); !status.is_ok()) return status;
  return settle_cluster(options, opened);
}

// As before the stores were opened.
void close_stores(OpenedDirectory& opened) {
  OpenedDirectory fresh;
  fresh.lock = std::move(opened.lock);
  opened = std::move(fresh);
}

// A disk that is full before anything ran: the room that is kept for this day is given away.
Status open_on_full_disk(const Options& options, OpenedDirectory& opened, Status full) {
  const std::string ballast = opened.lock.path() + "/ballast";
  close_stores(opened);
  if (::unlink(ballast.c_str()) != 0) return full;
  LETO_LOG(kWarning, "%s; the ballast is given away", full.text().c_str());
  return open_stores(options, opened);
}

}  // namespace

Status check_role(const Options& options, const std::string& directory) {
  return storage::file_exists("", directory + "/raft.db") ? Status() : check_founder(options, directory);
}

Status check_semantics(const std::string& directory, uint64_t level) {
  if (level <= command::kSemanticsSupported) return {};
  return Status::error(base::format("%s belongs to a cluster at semantics level %llu, this leto supports up to %u; start the "
                                    "version that it was last run with, or a newer one",
                                    directory.c_str(), static_cast<unsigned long long>(level),
                                    command::kSemanticsSupported));
}

Status check_together(const std::string& directory, const storage::KeyStore& keys, const NodeStart& start) {
  const auto number = [](uint64_t value) { return static_cast<unsigned long long>(value); };
  const uint64_t applied = start.header.applied_index;
  if (Status status = storage::check_term(directory + "/raft.db", start.recovered); !status.is_ok()) return status;
  const raft::EntryId at{.term = start.header.applied_term, .index = applied};
  if (Status status = storage::check_beginning(keys.path(), start.recovered, at); !status.is_ok()) return status;
  if (!storage::lost_tail(start.recovered, start.witness, applied)) return {};
  return Status::error(base::format(
      "%s/raft.db: damaged: it lost its tail: it ends at entry %llu in term %llu; the keys are at %llu, and entry %llu in term "
      "%llu was committed here",
      directory.c_str(), number(start.recovered.last.index), number(start.recovered.hard_state.term), number(applied),
      number(start.witness.index), number(start.witness.term)));
}

void make_cluster(storage::Identity& identity) {
  identity.cluster_id = secure_random_bytes(kClusterIdBytes);
  identity.cluster_secret = secure_random_bytes(kClusterSecretBytes);
}

std::string absolute_directory(const std::string& directory) {
  if (char* found = realpath(directory.c_str(), nullptr); found != nullptr) {
    const std::string absolute = found;
    std::free(found);
    return absolute;
  }
  if (directory.starts_with('/')) return directory;
  char* working = getcwd(nullptr, 0);
  const std::string absolute = (working == nullptr ? std::string(".") : std::string(working)) + "/" + directory;
  std::free(working);
  return absolute;
}

bool directory_exists(const std::string& directory) {
  struct stat found {};
  return ::stat(directory.c_str(), &found) == 0;
}

bool directory_has_lock(const std::string& directory) { return directory_exists(directory + "/LOCK"); }

Result<OpenedDirectory> open_directory(const Options& options, storage::DirectoryLock lock) {
  OpenedDirectory opened;
  opened.lock = std::move(lock);
  const std::string directory = opened.lock.path();
  if (Status status = check_log_options(options, directory); !status.is_ok()) return status;
  const uint64_t level = storage::peek_semantics_level(directory);
  if (Status status = check_semantics(directory, level); !status.is_ok()) return status;
  Status status = look_for_damage(directory);
  if (status.is_ok()) status = open_stores(options, opened);
  if (!status.is_ok() && status.text().find(kDiskFull) != std::string::npos) {
    status = open_on_full_disk(options, opened, std::move(status));
  }
  if (!status.is_ok() && storage::is_damage(status.text())) {
    close_stores(opened);
    status = repair(options, directory, status.text());
    if (status.is_ok()) status = open_stores(options, opened);
  }
  if (!status.is_ok()) return status;
  return opened;
}

Result<std::unique_ptr<storage::KeyStore>> make_keys(const std::string& directory, uint64_t generation) {
  const std::string path = storage::keys_path(directory, generation);
  if (Status status = storage::remove_database("", path); !status.is_ok()) return status;
  return storage::KeyStore::open({.directory = directory, .vfs = "", .generation = generation});
}

}  // namespace leto::server
