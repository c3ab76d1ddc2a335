#include "server/recover.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/format.h"
#include "base/node_id.h"
#include "server/repair.h"
#include "server/secure_random.h"
#include "server/start.h"
#include "storage/aside.h"
#include "storage/damage.h"
#include "storage/directory.h"
#include "storage/first_look.h"
#include "storage/key_store.h"
#include "storage/load.h"
#include "storage/log_store.h"
#include "storage/lost_tail.h"
#include "storage/peek.h"
#include "storage/salvage.h"
#include "storage/verify_keys.h"
#include "storage/vfs_file.h"

namespace leto::server {

namespace {

using base::Result;
using base::Status;
using Number = unsigned long long;

// The log is made anew in this folder if the one that is there is damaged.
constexpr const char* kMadeIn = "recovered";
constexpr const char* kLoss =
    "writes that were acknowledged but had not reached this node are lost, and writes whose outcome was unknown may have "
    "happened";

struct Survivor {
  storage::DirectoryLock lock;
  bool has_log_file = false;                // Of raft.db or its WAL. None beside keys: a backup.
  std::unique_ptr<storage::LogStore> log;   // Nothing: raft.db cannot be opened, or is not there, or not to be changed.
  std::unique_ptr<storage::KeyStore> keys;
  storage::Identity identity;
  raft::Recovered recovered;                // Of `log`.
  keyspace::StateHeader header;
  std::vector<raft::Entry> behind;          // Consecutive entries behind the keys' applied one, as far as they can be read.
  bool old_is_sound = false;                // The log's entries that the keys have are all there, and sound.
  std::string loss;                         // Why no more entries, if there were more.
  uint64_t damaged_generation = 0;          // Of the keys file that `keys` was made of, or instead of; 0: it is sound.
  bool keys_from_log = false;               // All of them,
  uint64_t keys_lost = 0;                   // or from the damaged file, of which so often something of it could not be read,
  std::string first_lost;                   // first this.
};

// All that a start would need of the keys file, and what its first flushes would: a cluster that cannot be started, or that ends at
// once, is not worth the old one.
Status check_keys(const Survivor& survivor) {
  keyspace::Keyspace keys;
  Status status = storage::load_keyspace(*survivor.keys, keys);
  return status.is_ok() ? storage::verify_keys_pages(survivor.lock.path(), "", survivor.identity.keys_generation) : std::move(status);
}

Status check_beginning(const Survivor& survivor) {
  if (!survivor.log) return {};
  const raft::EntryId at{.term = survivor.header.applied_term, .index = survivor.header.applied_index};
  return storage::check_beginning(survivor.keys->path(), survivor.recovered, at);
}

// A copy of keys says whose cluster they are, not which node's: all nodes have the same.
std::string first_voter_id(const raft::Configuration& configuration) {
  std::string first;
  for (const raft::Member& member : configuration.members) {
    if (configuration.is_voter(member.node) && (first.empty() || member.id < first)) first = member.id;
  }
  return first;
}

// Opening would make a new file of it.
bool is_empty(const std::string& directory, uint64_t generation) {
  return storage::file_bytes(storage::keys_path(directory, generation)) == 0;
}

// The applied entry of a keys file, if all of it can be read.
std::optional<raft::Index> applied_if_whole(const std::string& directory, uint64_t generation) {
  Result<std::unique_ptr<storage::KeyStore>> keys =
      storage::KeyStore::open({.directory = directory, .vfs = "", .generation = generation});
  keyspace::Keyspace loaded;
  if (!keys.is_ok() || !storage::load_keyspace(*keys.value(), loaded).is_ok()) return {};
  return keys.value()->header().applied_index;
}

// Of those that are whole the one that is at the highest entry: one of a higher number may be a snapshot that came too late, or
// what had come of one. If none are whole, the newest; 0 if there are none.
uint64_t newest_keys(const std::string& directory) {
  uint64_t newest = 0, chosen = 0;
  raft::Index highest = 0;
  for (const uint64_t generation : storage::keys_generations(directory)) {
    if (is_empty(directory, generation)) continue;
    newest = generation;
    const std::optional<raft::Index> applied = applied_if_whole(directory, generation);
    if (!applied || *applied < highest) continue;
    highest = *applied;
    chosen = generation;
  }
  return chosen != 0 ? chosen : newest;
}

// Of a raft.db that does not say it, or is not there: its last start left the id in LOCK, and the newest keys are the node's.
Result<storage::Identity> identity_without_log(const Survivor& survivor, const raft::Configuration& known) {
  storage::Identity identity;
  identity.id = survivor.lock.last_id();
  if (identity.id.empty() && !survivor.has_log_file) identity.id = first_voter_id(known);
  if (identity.id.empty()) return Status::error(survivor.loss + "; who this node is cannot be read either");
  if (const uint64_t newest = newest_keys(survivor.lock.path()); newest != 0) identity.keys_generation = newest;
  return identity;
}

// What says which keys are the node's may be older than they are: a snapshot's took their place meanwhile.
void take_newest_keys(Survivor& survivor) {
  if (!is_empty(survivor.lock.path(), survivor.identity.keys_generation)) return;
  if (const uint64_t newest = newest_keys(survivor.lock.path()); newest != 0) survivor.identity.keys_generation = newest;
}

// A damaged one is left alone: what may be opened by force may lose still more by it.
Status salvage_log(Survivor& survivor, const Status& damage) {
  survivor.loss = damage.text();
  storage::Salvage found = storage::salvage_directory(survivor.lock.path());
  if (found.identity) {
    survivor.identity = std::move(*found.identity);
    take_newest_keys(survivor);
    return {};
  }
  Result<storage::Identity> identity = identity_without_log(survivor, found.configuration);
  if (!identity.is_ok()) return identity.take_status();
  survivor.identity = std::move(identity.value());
  // Cut off from here on, the next attempt may find a log that says nothing yet.
  return survivor.lock.set_id(survivor.identity.id);
}

Status open_log(Survivor& survivor) {
  const std::string& directory = survivor.lock.path();
  if (const Status status = storage::look_at_log_files(directory, ""); !status.is_ok()) return salvage_log(survivor, status);
  storage::LogStoreOptions options;
  options.directory = directory;
  options.must_have_identity = storage::has_keys_files(directory);
  Result<std::unique_ptr<storage::LogStore>> log = storage::LogStore::open(options);
  if (!log.is_ok() && !storage::is_damage(log.status().text())) return log.take_status();
  if (!log.is_ok()) return salvage_log(survivor, log.status());
  survivor.log = std::move(log.value());
  survivor.recovered = survivor.log->recovered();
  survivor.identity = survivor.log->identity().value_or(storage::Identity());
  if (survivor.identity.cluster_id.empty()) return Status::error(directory + ": this node is in no cluster yet");
  return {};
}

// Entries [from, last], or those before the first that cannot be read: one by one, as a damaged one costs all that are
// read with it.
Status read_entries(storage::LogStore& log, raft::Index from, raft::Index last, std::vector<raft::Entry>& entries) {
  for (raft::Index next = from; next <= last; ++next) {
    Result<std::vector<raft::Entry>> one = log.read(next, next, 0);
    if (!one.is_ok()) return one.take_status();
    if (one.value().empty()) return Status::error(base::format("entry %llu is missing", Number{next}));
    entries.push_back(std::move(one.value()[0]));
  }
  return {};
}

// A log that can be opened may have damaged entries all the same: nobody reads old segments at a start.
bool is_sound_up_to(Survivor& survivor, raft::Index applied) {
  if (applied > survivor.recovered.last.index) return false;
  for (raft::Index next = survivor.recovered.base.index + 1; next <= applied; ++next) {
    std::vector<raft::Entry> entry;
    if (!read_entries(*survivor.log, next, next, entry).is_ok()) return false;
  }
  return true;
}

// In a folder of its own, and whole, before it is there for anybody.
Status write_keys(const std::string& directory, uint64_t generation, const keyspace::Cut& cut, const storage::Witness& witness) {
  const std::string folder = directory + "/" + kMadeIn;
  if (Status status = storage::make_folder(folder); !status.is_ok()) return status;
  // What an attempt that was cut off left goes.
  Result<std::unique_ptr<storage::KeyStore>> keys = make_keys(folder, generation);
  if (!keys.is_ok()) return keys.take_status();
  if (Status status = keys.value()->flush(cut, witness); !status.is_ok()) return status;
  if (Status status = keys.value()->close(); !status.is_ok()) return status;
  keys.value().reset();
  return storage::bring_keys(directory, kMadeIn, generation);
}

// If the log has every entry since the first nothing of them is needed.
Status read_keys_that_are_left(Survivor& survivor, keyspace::Keyspace& keys, keyspace::StateHeader& header) {
  const bool may_have_all = survivor.log && survivor.recovered.base.index == 0;
  survivor.keys_from_log = may_have_all && is_sound_up_to(survivor, survivor.header.applied_index);
  if (survivor.keys_from_log) return {};
  header = survivor.header;
  keys.name_spaces(header.databases);
  Status status = storage::salvage_keys(
      survivor.lock.path(), survivor.identity.keys_generation,
      [&keys](uint32_t database, std::string_view key, keyspace::Item item) { keys.set(database, key, std::move(item)); },
      [&survivor](const std::string& sentence) {
        if (survivor.keys_lost++ == 0) survivor.first_lost = sentence;
      });
  header.digest = keys.digest();
  return status;
}

Status open_keys_file(Survivor& survivor) {
  const std::string path = storage::keys_path(survivor.lock.path(), survivor.identity.keys_generation);
  // Opening would make an empty one, and the next start remove the others.
  if (is_empty(survivor.lock.path(), survivor.identity.keys_generation) && storage::has_keys_files(survivor.lock.path()))
    return Status::error(path + " is gone or empty, and the keys files that are there are not this node's");
  Result<std::unique_ptr<storage::KeyStore>> keys = storage::KeyStore::open(
      {.directory = survivor.lock.path(), .vfs = "", .generation = survivor.identity.keys_generation});
  if (!keys.is_ok()) return keys.take_status();
  survivor.keys = std::move(keys.value());
  survivor.header = survivor.keys->header();
  return {};
}

// What is left of damaged keys goes into a file of the next generation.
Status salvage_keys(Survivor& survivor) {
  keyspace::Keyspace keys;
  keyspace::StateHeader header;
  if (Status status = read_keys_that_are_left(survivor, keys, header); !status.is_ok()) return status;
  const storage::Witness witness = survivor.keys->witness();
  survivor.damaged_generation = survivor.identity.keys_generation++;
  Status status = write_keys(survivor.lock.path(), survivor.identity.keys_generation, keys.freeze(header), witness);
  return status.is_ok() ? open_keys_file(survivor) : std::move(status);
}

Status open_keys(Survivor& survivor) {
  if (Status status = open_keys_file(survivor); !status.is_ok()) return status;
  if (Status status = check_semantics(survivor.lock.path(), survivor.header.semantics_level); !status.is_ok()) return status;
  if (Status status = check_beginning(survivor); !status.is_ok()) return status;
  Status status = check_keys(survivor);
  return !status.is_ok() && storage::is_damage(status.text()) ? salvage_keys(survivor) : std::move(status);
}

void read_behind_keys(Survivor& survivor) {
  const raft::Index applied = survivor.header.applied_index;
  if (!survivor.log) {
    survivor.behind = storage::salvage_entries(survivor.lock.path(), applied);
    return;
  }
  const Status status = read_entries(*survivor.log, applied + 1, survivor.recovered.last.index, survivor.behind);
  if (!status.is_ok()) survivor.loss = status.text();
  survivor.old_is_sound = is_sound_up_to(survivor, applied);
}

// What it had is elsewhere: a cluster without keys would be made of what it began with anew.
Status check_not_set_aside(const Survivor& survivor) {
  const std::optional<Rejoin> rejoin = read_rejoin(survivor.lock.path());
  if (!rejoin || survivor.header.applied_index > 0 || !survivor.behind.empty()) return {};
  return Status::error(base::format("%s: this node waits to join its cluster again and has nothing; what it had is in %s/%s: move "
                                    "that back and remove the file rejoin first",
                                    survivor.lock.path().c_str(), survivor.lock.path().c_str(), rejoin->folder.c_str()));
}

// Of a log that was being made anew, cut off when the damaged one was out of its way.
bool was_cut_off(const std::string& directory) { return directory_exists(directory + "/" + kMadeIn + "/raft.db"); }

Status check_is_node(const std::string& directory) {
  if (directory_exists(directory + "/raft.db") || was_cut_off(directory) || storage::has_keys_files(directory)) return {};
  return Status::error(directory + ": there is no node here: neither a raft.db nor a keys file");
}

Status open_survivor(const std::string& directory, Survivor& survivor) {
  if (Status status = check_is_node(directory); !status.is_ok()) return status;
  Result<storage::DirectoryLock> lock = storage::DirectoryLock::acquire_to_change(directory);
  if (!lock.is_ok()) return lock.take_status();
  survivor.lock = std::move(lock.value());
  const std::string& path = survivor.lock.path();
  if (!directory_exists(path + "/raft.db") && was_cut_off(path)) {
    if (Status status = storage::bring_log(path, kMadeIn); !status.is_ok()) return status;
  }
  survivor.has_log_file = directory_exists(path + "/raft.db") || directory_exists(path + "/raft.db-wal");
  if (Result<std::string> id = storage::peek_id(path); !id.is_ok()) return id.take_status();
  if (Status status = open_log(survivor); !status.is_ok()) return status;
  if (Status status = open_keys(survivor); !status.is_ok()) return status;
  read_behind_keys(survivor);
  return check_not_set_aside(survivor);
}

// Says so, if the id that it had cannot be one.
std::string settle_id(Survivor& survivor) {
  const std::string had = std::exchange(survivor.identity.id, base::nearest_node_id(survivor.identity.id));
  if (had == survivor.identity.id) return {};
  return "the id " + had + " cannot be a node's: it is " + survivor.identity.id + " now.\n";
}

// The newest that is known: a log that lost its tail may be older than the keys file.
raft::Configuration newest_configuration(const Survivor& survivor) {
  raft::Configuration newest;
  for (auto entry = survivor.behind.rbegin(); entry != survivor.behind.rend(); ++entry) {
    if (entry->kind == raft::EntryKind::kConfiguration && raft::decode_configuration(*entry->payload, newest)) return newest;
  }
  const std::vector<raft::ConfigurationAt>& logged = survivor.recovered.configurations;
  if (!logged.empty() && logged.back().index >= survivor.header.configuration_index) return logged.back().configuration;
  if (!raft::decode_configuration(survivor.header.configuration, newest)) newest = {};
  return newest;
}

// Its addresses are those it had; by its id, if an earlier recovery was cut off behind its new identity.
raft::Configuration alone(const Survivor& survivor) {
  raft::Configuration newest = newest_configuration(survivor);
  for (raft::Member& member : newest.members) member.id = base::nearest_node_id(member.id);
  raft::Member self;
  self.id = survivor.identity.id;
  if (const raft::Member* known = newest.find_id(survivor.identity.id)) self = *known;
  self.node = survivor.identity.node;
  self.role = raft::MemberRole::kVoter;
  return {.members = {self}};
}

// One of which anything is damaged is made anew: SQLite cannot drop tables of which it cannot read every page.
bool keeps_log(const Survivor& survivor) { return survivor.log && survivor.old_is_sound && survivor.loss.empty(); }

// What the log is to hold from now on: what could be read behind the keys' applied entry, and the new configuration. Of one that is
// made anew nothing else stays.
storage::LogWrite new_log(const Survivor& survivor, raft::EntryId& last) {
  const keyspace::StateHeader& header = survivor.header;
  last = survivor.behind.empty() ? raft::EntryId{.term = header.applied_term, .index = header.applied_index} : survivor.behind.back().id;
  const raft::Term term =
      std::max({survivor.recovered.hard_state.term, survivor.keys->witness().term, header.applied_term, last.term}) + 1;
  storage::LogWrite write{.hard_state = raft::HardState{.term = term, .voted_for = raft::kNobody},
                          .truncate_from = {}, .append = {}, .install = {}};
  if (!keeps_log(survivor)) {
    if (header.applied_index > 0) {
      write.install = {.last = {.term = header.applied_term, .index = header.applied_index},
                       .keys_generation = survivor.identity.keys_generation};
    }
    write.append = survivor.behind;
  }
  write.append.push_back({.id = {.term = term, .index = last.index + 1},
                          .kind = raft::EntryKind::kConfiguration,
                          .payload = std::make_shared<const std::string>(raft::encode_configuration(alone(survivor)))});
  return write;
}

// First another cluster, then other members: cut off in between, nobody of the old cluster takes it for one of its own.
Status write_log(storage::LogStore& log, const Survivor& survivor, const storage::LogWrite& write) {
  if (Status status = log.set_identity(survivor.identity); !status.is_ok()) return status;
  if (log.write({write}) == storage::WriteResult::kDurable) return {};
  return Status::error(survivor.lock.path() + ": the disk is full");
}

// In a folder of its own, and whole, before the damaged one is moved aside.
Status make_log_anew(const Survivor& survivor, const storage::LogWrite& write) {
  const std::string& path = survivor.lock.path();
  storage::LogStoreOptions options;
  options.directory = path + "/" + kMadeIn;
  if (Status status = storage::make_folder(options.directory); !status.is_ok()) return status;
  // What an attempt that was cut off left.
  if (Status status = storage::remove_database("", options.directory + "/raft.db"); !status.is_ok()) return status;
  Result<std::unique_ptr<storage::LogStore>> log = storage::LogStore::open(options);
  if (!log.is_ok()) return log.take_status();
  if (Status status = write_log(*log.value(), survivor, write); !status.is_ok()) return status;
  if (Status status = log.value()->close(); !status.is_ok()) return status;
  log.value().reset();
  if (survivor.has_log_file) {
    const std::string folder = storage::next_folder(path, static_cast<uint64_t>(std::time(nullptr)));
    if (Status status = storage::move_databases(path, folder, storage::Databases::kLog); !status.is_ok()) return status;
  }
  return storage::bring_log(path, kMadeIn);
}

Status write_new_cluster(Survivor& survivor, raft::EntryId& last) {
  survivor.identity.node = secure_random_number();
  make_cluster(survivor.identity);
  // It is what is left of the old cluster by decision, and does not end when old members dial it.
  survivor.identity.founded = false;
  const storage::LogWrite write = new_log(survivor, last);
  if (!keeps_log(survivor)) survivor.log.reset();
  Status status = survivor.log ? write_log(*survivor.log, survivor, write) : make_log_anew(survivor, write);
  // The witness of a log that had more would silence this one (D16): this is where its loss is accepted.
  // It says, too, that the entry behind `last`, by which the node is the only member, counts.
  if (status.is_ok()) status = survivor.keys->write_witness({.index = last.index + 1, .term = write.hard_state->term});
  return status;
}

// The damaged keys file is of no use any more, but for who wants to look at it.
Status put_keys_aside(const Survivor& survivor, std::string& report) {
  if (survivor.damaged_generation == 0) return {};
  const std::string& path = survivor.lock.path();
  const std::string folder = storage::next_folder(path, static_cast<uint64_t>(std::time(nullptr)));
  if (Status status = storage::move_keys_file(path, folder, survivor.damaged_generation); !status.is_ok()) return status;
  report += base::format("Its keys file was damaged, and is in %s/%s now. ", path.c_str(), folder.c_str());
  report += survivor.keys_from_log    ? "All keys are made anew from the log.\n"
            : survivor.keys_lost == 0 ? "All keys in it could be read.\n"
                                      : base::format("Lost are the keys that could not be read, in %llu places: %s.\n",
                                                   Number{survivor.keys_lost}, survivor.first_lost.c_str());
  return {};
}

}  // namespace

Status recover_as_new_cluster(const std::string& directory, std::string& report) {
  Survivor survivor;
  if (Status status = open_survivor(directory, survivor); !status.is_ok()) return status;
  const std::string renamed = settle_id(survivor);
  raft::EntryId last;
  if (Status status = write_new_cluster(survivor, last); !status.is_ok()) return status;
  if (Status status = survivor.keys->close(); !status.is_ok()) return status;
  if (survivor.log) {
    if (Status status = survivor.log->close(); !status.is_ok()) return status;
  }
  // Last, as they are about what this node was before.
  if (Status status = forget_damage(survivor.lock.path()); !status.is_ok()) return status;
  report = renamed + base::format(
      "node %s is the only member of a new cluster now, with its log up to entry %llu and its keys as of entry %llu.\n"
      "Start it as before, but without -join; the others join it with -join and empty directories.\n",
      survivor.identity.id.c_str(), Number{last.index}, Number{survivor.header.applied_index});
  if (!survivor.loss.empty()) report += "Entries behind " + std::to_string(last.index) + " are lost: " + survivor.loss + ".\n";
  return put_keys_aside(survivor, report);
}

Status look_at_survivor(const std::string& directory, std::string& report) {
  Result<storage::DirectoryLock> lock = storage::DirectoryLock::acquire_to_read(directory);
  if (!lock.is_ok()) return lock.take_status();
  const std::string& path = lock.value().path();
  if (Status status = check_is_node(path); !status.is_ok()) return status;
  Result<std::string> id = storage::peek_id(path);
  if (!id.is_ok()) return id.take_status();
  if (Status status = check_semantics(path, storage::peek_semantics_level(path)); !status.is_ok()) return status;
  const std::string node = id.value().empty() ? "the node of " + path : "node " + id.value();
  report = base::format(
      "nothing was changed. leto --recover %s --new-cluster would make %s the only member of a new cluster, with what its "
      "directory holds: %s. Do it only if a majority of the old cluster is lost for ever, and at one survivor only",
      directory.c_str(), node.c_str(), kLoss);
  return {};
}

int recover(const std::string& directory, bool new_cluster) {
  std::string report;
  if (!new_cluster) {
    const Status status = look_at_survivor(directory, report);
    std::fprintf(stderr, "%s\n", status.is_ok() ? report.c_str() : status.text().c_str());
    return 1;
  }
  if (const Status status = recover_as_new_cluster(directory, report); !status.is_ok()) {
    std::fprintf(stderr, "%s\n", status.text().c_str());
    return 1;
  }
  std::fprintf(stderr, "WARNING: %s\n", kLoss);
  std::fputs(report.c_str(), stdout);
  return 0;
}

}  // namespace leto::server
