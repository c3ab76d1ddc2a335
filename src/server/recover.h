// Bringing a cluster whose majority is lost for ever back from one survivor's data directory. Offline: nobody
// else may have the directory open. Refuses to judge whether the majority really is lost: whoever asks does.
#pragma once

#include <string>

#include "base/status.h"

namespace leto::server {

// Makes the node of `directory` the only member of a new cluster, with everything its log and its keys file hold:
// also entries that were not committed. Writes that only the others had are lost, and keys that are damaged, unless the log has
// everything. Of a backup, which has a keys file alone,
// the node is the first voter, by id. The nodes of the old cluster cannot speak with the new one; they join it with empty
// directories. What was done is in `report`.
// An error leaves the directory as it was, or such that the same may be done again.
base::Status recover_as_new_cluster(const std::string& directory, std::string& report);

// Looks whether that could be done with `directory`, as far as can be told without changing anything: there is a node in it,
// which does not run and which this program can read. What would be done is in `report`.
base::Status look_at_survivor(const std::string& directory, std::string& report);

// `leto --recover DIR --new-cluster`: the report goes to standard output, warnings and errors to standard error. Without
// --new-cluster it is only looked at. Gives the exit status: 0 done, 1 not.
int recover(const std::string& directory, bool new_cluster);

}  // namespace leto::server
