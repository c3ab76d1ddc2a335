// The note that the keys file of one generation is damaged, and that the log beside it is sound: the node goes on with its log
// and its vote, and its keys come by a snapshot, in a file of the next generation. The file stays where it is until then, as
// its header says who the members are and what was committed (D16). Refuses to know how damage is found.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"

namespace leto::server {

// Durable when it returns.
base::Status note_lost_keys(const std::string& directory, uint64_t generation);
// False, too, for a note about another generation: that file's time is over.
bool keys_are_lost(const std::string& directory, uint64_t generation);
// No error if there is no such note.
base::Status forget_lost_keys(const std::string& directory);

}  // namespace leto::server
