// From options to an open data directory: the lock, raft.db, who this node is, the keys
// file's header. Blocking, before the loop runs. Refuses to know sockets.
//
// Invariants: on an error nothing that was there is changed; a founding that was cut off is finished by the
// next start; an identity, once made, never changes but by being taken into a cluster; a founder that another cluster
// missed (founder.h) is started only to join.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "server/node.h"
#include "server/options.h"
#include "storage/directory.h"
#include "storage/key_store.h"
#include "storage/log_store.h"

namespace leto::server {

struct OpenedDirectory {
  storage::DirectoryLock lock;
  std::unique_ptr<storage::LogStore> log;
  uint64_t checkpoint_frames = 0;    // As the log was opened with.
  std::unique_ptr<storage::KeyStore> keys;
  NodeStart start;
  bool joins = false;                // This node is not known to be a member, and asks at `targets` to be taken in.
  std::vector<Address> targets;      // -join, and after a repair the members that were known.
  std::optional<NodeRole> role;      // After a repair: as which it is to join, whatever -role says.
};

// The directory as it is given, made absolute if it exists, else under the working directory.
std::string absolute_directory(const std::string& directory);
bool directory_exists(const std::string& directory);
// Whether a process that may still live has left a lock there.
bool directory_has_lock(const std::string& directory);

// Before anything is made: a node without data that is to be a learner founds no cluster. An error is one sentence.
base::Status check_role(const Options& options, const std::string& directory);

// Everything behind the lock; damage is repaired if it can be (repair.h). An error is one sentence.
base::Result<OpenedDirectory> open_directory(const Options& options, storage::DirectoryLock lock);

// Whether this program can go on with a directory whose cluster is at `level`; an error says what can.
base::Status check_semantics(const std::string& directory, uint64_t level);

// What neither of the two open files of a directory shows alone (D16); `start` has what was found in both. An error is one
// sentence about damage: the node must do nothing under this identity.
base::Status check_together(const std::string& directory, const storage::KeyStore& keys, const NodeStart& start);

// The id and the secret of another cluster than any there is.
void make_cluster(storage::Identity& identity);

// The keys file of `identity` with an empty keyspace, for a node that is taken into a cluster; what a file of that
// generation had before is gone.
base::Result<std::unique_ptr<storage::KeyStore>> make_keys(const std::string& directory, uint64_t generation);

}  // namespace leto::server
