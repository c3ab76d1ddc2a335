// SQLite's own opinion of the database files on a disk, after everything was closed, and what --check has to say of them.
// Refuses to know what is in them.
#pragma once

#include <cstdint>
#include <string>

#include "tests/storage/test_vfs.h"

namespace leto::sim {

// What is wrong with the first file that is not sound; empty if all are. A keys file of another generation than the one in
// use is what has come of a snapshot so far, and is left out.
std::string check_files(const storage::TestDisk& disk, uint64_t keys_generation);

}  // namespace leto::sim
