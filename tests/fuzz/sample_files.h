// What the targets about files start from: sound files of the tests, and a disk in memory to put them on.
#pragma once

#include <string>
#include <string_view>

#include "storage/log_store.h"
#include "tests/storage/test_vfs.h"

namespace leto::fuzz {

inline constexpr char kDirectory[] = "/fuzz";
// Where the keys of tests/golden/keys-v1.db are applied.
inline constexpr raft::EntryId kGoldenApplied{.term = 5, .index = 19};

// A number of so many bytes, the highest first, that is taken from the front; what is missing counts as 0.
size_t take_number(std::string_view& bytes, size_t size);

// A file of tests/golden.
const std::string& golden(const std::string& name);
// The WAL of raft-v1.db after six more commits, none of which is in the file itself.
const std::string& sound_wal();
// With each of `patches`, three bytes of offset and one of content, laid over it.
std::string patched(std::string content, std::string_view patches);
// All checksums of a WAL are what its content says, by the format's description; whatever it has of frames.
void sum_wal_anew(std::string& wal);

// Empty. One disk for all runs of a process, as SQLite never forgets a VFS's name. Failed writes are left to the caller.
storage::TestDisk& fresh_disk();
// The way LogStore and KeyStore are opened there.
storage::LogStoreOptions log_on(storage::TestDisk& disk);

}  // namespace leto::fuzz
