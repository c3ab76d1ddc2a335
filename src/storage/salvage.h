// What can still be read of a damaged data directory: who the node was and who the others are. Reads row by row, checks each,
// passes over what is damaged, and changes nothing. Refuses to judge what is to be done.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "raft/raft.h"
#include "storage/key_store.h"
#include "storage/log_store.h"

namespace leto::storage {

struct Salvage {
  std::optional<Identity> identity;
  // The newest one in the log and in the keys files; without members: none could be read.
  raft::Configuration configuration;
  // As LogStore::open() would find it; nothing if that would be an error.
  std::optional<raft::Recovered> log;
  // The highest that a keys file shows, as far as they can be read.
  Witness witness;
  uint64_t applied = 0;
};

// REQUIRES: nobody has a file of the directory open.
Salvage salvage_directory(const std::string& directory);

// The entries of raft.db behind `after`, consecutive and each checked, up to the first that is missing or damaged. All of
// them are in memory at once: what a keys file has not is bounded by flush-lag-bytes. REQUIRES: as above.
std::vector<raft::Entry> salvage_entries(const std::string& directory, raft::Index after);

// Whether raft.db has every entry from the first to `last`, each sound. Reads them all. REQUIRES: as above.
bool has_all_entries(const std::string& directory, raft::Index last);

// Calls `sink` for each key of a keys file that is sound, and `lost` with a sentence about each that is not, or about what cannot
// be read at all, which may be many keys. An error if not even that can be told. Its owner may have the file open.
base::Status salvage_keys(const std::string& directory, uint64_t generation, const KeyStore::Sink& sink,
                          const std::function<void(const std::string& sentence)>& lost);

}  // namespace leto::storage
