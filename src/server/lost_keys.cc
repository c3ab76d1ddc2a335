#include "server/lost_keys.h"

#include "storage/aside.h"

namespace leto::server {

namespace {

std::string path_in(const std::string& directory) { return directory + "/keys-lost"; }

std::string text_of(uint64_t generation) { return "generation " + std::to_string(generation) + "\n"; }

}  // namespace

base::Status note_lost_keys(const std::string& directory, uint64_t generation) {
  return storage::write_note(path_in(directory), text_of(generation));
}

bool keys_are_lost(const std::string& directory, uint64_t generation) {
  return storage::read_note(path_in(directory)) == text_of(generation);
}

base::Status forget_lost_keys(const std::string& directory) { return storage::remove_note(path_in(directory)); }

}  // namespace leto::server
