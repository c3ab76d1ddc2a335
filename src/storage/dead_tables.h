// Tables of namespaces that no database is any more, and their removal in bounded steps. Dropping a table writes next to
// nothing but reads every page of it (100 ms for 150 MB that are cached); removing rows writes each page they were on. So
// rows go from the front until what is left is little enough to be dropped at once. Refuses to know which tables are dead.
#pragma once

#include <string>
#include <vector>

#include "storage/sqlite.h"

namespace leto::storage {

// What one step drops at most, in bytes of rows: some 20 ms.
inline constexpr size_t kDroppedBytesMax = 32 << 20;

class DeadTables {
 public:
  // keys_<namespace> or chunks_<namespace>.
  void add(std::string table) { tables_.push_back(std::move(table)); }
  bool is_empty() const { return tables_.empty(); }
  void clear() { tables_.clear(); }
  // Removes rows for about so many bytes, of one table after the other; a table of which no more than these or kDroppedBytesMax
  // are left goes as a whole. Within a transaction: SQLITE_OK or an error. After a transaction that failed all tables are to be added anew.
  int remove_some(Database& database, size_t bytes_max);

 private:
  std::vector<std::string> tables_;
};

}  // namespace leto::storage
