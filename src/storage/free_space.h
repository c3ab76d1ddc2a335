// How much room the disk has left. Refuses to know what it is wanted for.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/status.h"

namespace leto::storage {

// Bytes that this process may still write to the file system of `directory`. May wait for the disk: belongs into a job.
// An error is one sentence.
base::Result<uint64_t> free_bytes(const std::string& directory);

// Whoever answers that: free_bytes(), or a test's disk.
using FreeBytes = std::function<base::Result<uint64_t>(const std::string& directory)>;

}  // namespace leto::storage
