// Which SQLite is linked: for `leto -v`.
#pragma once

namespace leto::storage {

// "3.40.1"; of the library that runs, not of the header.
const char* sqlite_version();

}  // namespace leto::storage
