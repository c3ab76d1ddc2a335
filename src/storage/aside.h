// Small text files of the data directory that must survive the process, and moving its databases out of the way. Refuses to
// know why. Plain POSIX, on a real disk: opens no database file (renaming one needs no descriptor of it).
//
// Invariants: a note is there whole or not at all, and durable when write_note() returns; so is a move.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace leto::storage {

// So many folders of damaged files are kept.
inline constexpr size_t kFoldersKept = 3;
// More than any note has.
inline constexpr size_t kNoteBytesMax = 64 << 10;

// Replaces the file; its mode is 0600.
base::Status write_note(const std::string& path, const std::string& text);
// Empty if there is none or if it cannot be read.
std::string read_note(const std::string& path);
// No error if there is none.
base::Status remove_note(const std::string& path);
// `to` is replaced in one step.
base::Status rename_note(const std::string& from, const std::string& to);

// The numbers of the keys files in `directory`, ascending.
std::vector<uint64_t> keys_generations(const std::string& directory);
// Size of a file in bytes; 0 also if there is none.
uint64_t file_bytes(const std::string& path);

// No error if it is there.
base::Status make_folder(const std::string& path);

enum class Databases : uint8_t { kAll, kKeys, kLog };

// Moves keys files, raft.db or both, with all that belongs to them, into `folder`, a name within `directory`, which is
// made. May be called again after it was cut off. REQUIRES: none of them is open.
base::Status move_databases(const std::string& directory, const std::string& folder, Databases which);
// The same of the keys file of one generation.
base::Status move_keys_file(const std::string& directory, const std::string& folder, uint64_t generation);
// Moves the raft.db that was made in `folder` up into `directory`, which has none. Its WAL goes first: as long as raft.db is
// not there this may be called again.
base::Status bring_log(const std::string& directory, const std::string& folder);
// Moves the keys file of a generation that was made in `folder`, and is closed, up into `directory`, in the place of one that
// is there. `folder` goes if nothing else is in it.
base::Status bring_keys(const std::string& directory, const std::string& folder, uint64_t generation);
// What is moved aside now goes there: a name as free_folder()'s, beside the last of the others, so that kFoldersKept are there
// once it is made.
std::string next_folder(const std::string& directory, uint64_t seconds);
// damaged-<seconds>, or the next number that is free.
std::string free_folder(const std::string& directory, uint64_t seconds);
// One of free_folder()'s names, in any directory.
bool is_folder(const std::string& name);
// Removes the oldest folders of free_folder()'s, until at most `kept` are left.
void prune_folders(const std::string& directory, size_t kept);

}  // namespace leto::storage
