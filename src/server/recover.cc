#include "server/recover.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "base/format.h"
#include "server/secure_random.h"
#include "server/start.h"
#include "storage/directory.h"
#include "storage/key_store.h"
#include "storage/load.h"
#include "storage/log_store.h"
#include "storage/lost_tail.h"
#include "storage/peek.h"

namespace leto::server {

namespace {

using base::Result;
using base::Status;
using Number = unsigned long long;

struct Survivor {
  storage::DirectoryLock lock;
  std::unique_ptr<storage::LogStore> log;
  std::unique_ptr<storage::KeyStore> keys;
  storage::Identity identity;
  raft::Recovered recovered;
  keyspace::StateHeader header;
};

// All that a start would need of the keys file: a cluster that cannot be started is not worth the old one.
Status check_keys(const Survivor& survivor) {
  Status status =
      storage::check_beginning(survivor.lock.path(), survivor.recovered, survivor.header.applied_index);
  if (!status.is_ok()) return status;
  keyspace::Keyspace keys;
  return storage::load_keyspace(*survivor.keys, keys);
}

Status open_survivor(const std::string& directory, Survivor& survivor) {
  if (!directory_exists(directory + "/raft.db")) return Status::error(directory + ": there is no raft.db here");
  Result<storage::DirectoryLock> lock = storage::DirectoryLock::acquire(absolute_directory(directory), "");
  if (!lock.is_ok()) return lock.take_status();
  if (Result<std::string> id = storage::peek_id(lock.value().path()); !id.is_ok()) return id.take_status();
  survivor.lock = std::move(lock.value());
  storage::LogStoreOptions options;
  options.directory = survivor.lock.path();
  Result<std::unique_ptr<storage::LogStore>> log = storage::LogStore::open(options);
  if (!log.is_ok()) return log.take_status();
  survivor.log = std::move(log.value());
  survivor.recovered = survivor.log->recovered();
  const std::optional<storage::Identity> identity = survivor.log->identity();
  if (!identity || identity->cluster_id.empty()) return Status::error(directory + ": this node is in no cluster yet");
  survivor.identity = *identity;
  Result<std::unique_ptr<storage::KeyStore>> keys = storage::KeyStore::open(
      {.directory = survivor.lock.path(), .vfs = "", .generation = identity->keys_generation});
  if (!keys.is_ok()) return keys.take_status();
  survivor.keys = std::move(keys.value());
  survivor.header = survivor.keys->header();
  if (Status status = check_semantics(survivor.lock.path(), survivor.header.semantics_level); !status.is_ok()) return status;
  return check_keys(survivor);
}

// The newest that is known: a log that lost its tail may be older than the keys file.
raft::Configuration newest_configuration(const Survivor& survivor) {
  raft::Configuration kept;
  const std::vector<raft::ConfigurationAt>& logged = survivor.recovered.configurations;
  if (!logged.empty() && logged.back().index >= survivor.header.configuration_index) return logged.back().configuration;
  if (!raft::decode_configuration(survivor.header.configuration, kept)) kept = {};
  return kept;
}

// Its addresses are those it had; by its id, if an earlier recovery was cut off behind its new identity.
raft::Configuration alone(const Survivor& survivor) {
  const raft::Configuration newest = newest_configuration(survivor);
  raft::Member self;
  self.id = survivor.identity.id;
  if (const raft::Member* known = newest.find_id(survivor.identity.id)) self = *known;
  self.node = survivor.identity.node;
  self.role = raft::MemberRole::kVoter;
  return {.members = {self}};
}

// First another cluster, then other members: cut off in between, nobody of the old cluster takes it for one of its own.
Status write_new_cluster(Survivor& survivor, raft::Index& last) {
  const bool lost = storage::lost_tail(survivor.recovered, survivor.keys->witness(), survivor.header.applied_index);
  const raft::Term term = std::max({survivor.recovered.hard_state.term, survivor.keys->witness().term,
                                    survivor.header.applied_term}) + 1;
  survivor.identity.node = secure_random_number();
  make_cluster(survivor.identity);
  if (Status status = survivor.log->set_identity(survivor.identity); !status.is_ok()) return status;
  storage::LogWrite write{.hard_state = raft::HardState{.term = term, .voted_for = raft::kNobody},
                          .truncate_from = {}, .append = {}, .install = {}};
  last = survivor.recovered.last.index;
  if (lost && last < survivor.header.applied_index) {
    last = survivor.header.applied_index;
    write.install = {.last = {.term = survivor.header.applied_term, .index = last},
                     .keys_generation = survivor.identity.keys_generation};
  }
  write.append.push_back({.id = {.term = term, .index = last + 1},
                          .kind = raft::EntryKind::kConfiguration,
                          .payload = std::make_shared<const std::string>(raft::encode_configuration(alone(survivor)))});
  if (survivor.log->write({write}) != storage::WriteResult::kDurable)
    return Status::error(survivor.lock.path() + ": the disk is full");
  // The witness of a log that had more would silence this one (D16): this is where its loss is accepted.
  return survivor.keys->write_witness({.index = last, .term = term});
}

}  // namespace

Status recover_as_new_cluster(const std::string& directory, std::string& report) {
  Survivor survivor;
  if (Status status = open_survivor(directory, survivor); !status.is_ok()) return status;
  raft::Index last = 0;
  if (Status status = write_new_cluster(survivor, last); !status.is_ok()) return status;
  if (Status status = survivor.keys->close(); !status.is_ok()) return status;
  if (Status status = survivor.log->close(); !status.is_ok()) return status;
  report = base::format(
      "node %s is the only member of a new cluster now, with its log up to entry %llu and its keys as of entry %llu.\n"
      "Start it as before, but without -join; the others join it with -join and empty directories.\n",
      survivor.identity.id.c_str(), Number{last}, Number{survivor.header.applied_index});
  return {};
}

int recover(const std::string& directory, bool new_cluster) {
  constexpr const char* kLoss =
      "writes that were acknowledged but had not reached this node are lost, and writes whose outcome was unknown may have "
      "happened";
  if (!new_cluster) {
    std::fprintf(stderr,
                 "nothing was changed. leto --recover %s --new-cluster would make this node the only member of a new cluster, "
                 "with what its directory holds: %s. Do it only if a majority of the old cluster is lost for ever, and at one "
                 "survivor only\n",
                 directory.c_str(), kLoss);
    return 1;
  }
  std::string report;
  if (const Status status = recover_as_new_cluster(directory, report); !status.is_ok()) {
    std::fprintf(stderr, "%s\n", status.text().c_str());
    return 1;
  }
  std::fprintf(stderr, "WARNING: %s\n", kLoss);
  std::fputs(report.c_str(), stdout);
  return 0;
}

}  // namespace leto::server
