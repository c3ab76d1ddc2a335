// The rows of a table of keys of which pages cannot be read: those that can be reached from either side of each such page. Checks
// no row and changes nothing. Refuses to know of values and databases.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "storage/sqlite.h"

namespace leto::storage {

class KeyWalk {
 public:
  explicit KeyWalk(Database& database) : database_(database) {}

  // REQUIRES: `table` is ordered by its column `key`, the first of `columns`. An error if it cannot be asked.
  base::Status open(const std::string& table, const std::string& columns);
  // Calls `visit` once for each row that was reached, and `gap` with the key before a place where pages cannot be read, or do not
  // say rising keys; empty before the first. What lies between two such places is searched for by texts that are near to the keys
  // beside them, at most kProbesMax of them in all: it may be missed. So may keys that a page in a wrong place jumps over.
  using Visit = std::function<void(const Statement& row)>;
  using Gap = std::function<void(const std::string& last)>;
  void run(const Visit& visit, const Gap& gap);

 private:
  static constexpr size_t kProbesMax = 100000;

  // Keys that were not reached yet lie between these two, which do not count; without `high` up to the end.
  struct Range {
    std::string low;
    std::optional<std::string> high;
  };

  bool go_up(const std::string& from, Range& range, const Visit& visit);
  void go_down(Range& range, const Visit& visit);
  std::optional<std::string> find_between(const Range& range);
  enum class Probe : uint8_t { kFound, kNone, kUnreadable };
  Probe probe(const std::string& text, const Range& range, std::optional<std::string>& found);

  Database& database_;
  Statement up_, down_, down_from_end_, probe_;
  std::vector<Range> unknown_;
  size_t probes_ = 0;
};

}  // namespace leto::storage
