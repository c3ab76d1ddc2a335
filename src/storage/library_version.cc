#include "storage/library_version.h"

#include <sqlite3.h>

namespace leto::storage {

const char* sqlite_version() { return sqlite3_libversion(); }

}  // namespace leto::storage
