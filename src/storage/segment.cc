// Tables of consecutive log entries; see segment.h.
#include "storage/segment.h"

#include <sqlite3.h>

#include <algorithm>
#include <memory>
#include <string_view>

#include "base/crc32c.h"
#include "base/format.h"
#include "base/little_endian.h"

namespace leto::storage {

namespace {

// Columns of `SELECT idx, term, kind, crc, payload`.
enum Column : int { kIndex, kTerm, kKind, kCrc, kPayload };

using Number = unsigned long long;

uint32_t row_crc(raft::EntryId id, uint64_t kind, std::string_view payload) {
  char head[17];
  base::store_little_endian(head, id.index);
  base::store_little_endian(head + 8, id.term);
  head[16] = static_cast<char>(kind);
  return base::crc32c(payload, base::crc32c({head, sizeof head}));
}

base::Status prepare_rows(Database& database, raft::Index first, Statement& statement) {
  return database.prepare("SELECT idx, term, kind, crc, payload FROM " + segment_table(first) +
                          " WHERE idx BETWEEN ? AND ? ORDER BY idx", statement);
}

// Checks the row the statement stands on, which should be the entry `expected`.
base::Status check_row(const Database& database, const Statement& row, raft::Index expected) {
  const raft::EntryId id{.term = row.integer(kTerm), .index = row.integer(kIndex)};
  if (id.index != expected) {
    return base::Status::error(base::format("%s: damaged: entry %llu is missing, the next one is %llu",
                                            database.path().c_str(), Number{expected}, Number{id.index}));
  }
  const uint64_t kind = row.integer(kKind);
  if (kind <= static_cast<uint64_t>(raft::EntryKind::kConfiguration) &&
      row.integer(kCrc) == row_crc(id, kind, row.bytes(kPayload))) {
    return {};
  }
  return base::Status::error(base::format("%s: damaged: entry %llu has a wrong checksum",
                                          database.path().c_str(), Number{expected}));
}

base::Status check_kind(const Database& database, const Statement& row, const std::vector<raft::Index>& configurations) {
  const bool is_one = row.integer(kKind) == static_cast<uint64_t>(raft::EntryKind::kConfiguration);
  const raft::Index index = row.integer(kIndex);
  if (is_one == std::binary_search(configurations.begin(), configurations.end(), index)) return {};
  return base::Status::error(base::format("%s: damaged: entry %llu is %s configuration, table configurations says otherwise",
                                          database.path().c_str(), Number{index}, is_one ? "a" : "no"));
}

raft::Entry to_entry(const Statement& row) {
  return {.id = {.term = row.integer(kTerm), .index = row.integer(kIndex)},
          .kind = static_cast<raft::EntryKind>(row.integer(kKind)),
          .payload = std::make_shared<const std::string>(row.bytes(kPayload))};
}

base::Status missing(const Database& database, raft::Index index) {
  return base::Status::error(
      base::format("%s: damaged: entry %llu is missing", database.path().c_str(), Number{index}));
}

}  // namespace

std::string segment_table(raft::Index first) { return "log_" + std::to_string(first); }

int SegmentWriter::open(Database& database, raft::Index first) {
  close();
  const base::Status status = database.prepare(
      "INSERT INTO " + segment_table(first) + "(idx, term, kind, crc, payload) VALUES(?, ?, ?, ?, ?)",
      insert_);
  if (!status.is_ok()) return database.last_code();
  first_ = first;
  return SQLITE_OK;
}

int SegmentWriter::append(const raft::Entry& entry) {
  const auto kind = static_cast<uint64_t>(entry.kind);
  insert_.bind(1, entry.id.index);
  insert_.bind(2, entry.id.term);
  insert_.bind(3, kind);
  insert_.bind(4, row_crc(entry.id, kind, *entry.payload));
  insert_.bind_blob(5, *entry.payload);
  return insert_.run();
}

base::Status read_segment(Database& database, const Segment& segment, ReadRange& range,
                          std::vector<raft::Entry>& entries) {
  Statement rows;
  if (base::Status status = prepare_rows(database, segment.first, rows); !status.is_ok()) return status;
  const raft::Index last = std::min(range.last, segment.end() - 1);
  rows.bind(1, range.from);
  rows.bind(2, last);
  while (range.from <= last) {
    const int code = rows.step();
    if (code == SQLITE_DONE) return missing(database, range.from);
    if (code != SQLITE_ROW)
      return database.error(base::format("read entry %llu", Number{range.from}), code);
    const uint64_t size = rows.bytes(kPayload).size();
    if (!entries.empty() && size > range.bytes_max) {
      range.last = range.from - 1;
      return {};
    }
    if (base::Status status = check_row(database, rows, range.from); !status.is_ok()) return status;
    entries.push_back(to_entry(rows));
    range.bytes_max -= std::min(range.bytes_max, size);
    ++range.from;
  }
  return {};
}

base::Result<Segment> measure_segment(Database& database, raft::Index first) {
  Statement edges;
  const std::string table = segment_table(first);
  // Two subqueries: SQLite finds each edge without a scan only if it is asked for alone.
  base::Status status = database.prepare(
      "SELECT (SELECT min(idx) FROM " + table + "), (SELECT max(idx) FROM " + table + ")", edges);
  if (!status.is_ok()) return status;
  const int code = edges.step();
  if (code != SQLITE_ROW) return database.error("read " + table, code);
  const raft::Index lowest = edges.integer(0), highest = edges.integer(1);
  if (lowest != first || highest < first) return missing(database, first);
  return Segment{.first = first, .entries = highest - first + 1, .bytes = 0};
}

base::Status verify_segment(Database& database, Segment& segment, const LogIndex& log) {
  const std::vector<raft::TermRun>& terms = log.terms;
  Statement rows;
  if (base::Status status = prepare_rows(database, segment.first, rows); !status.is_ok()) return status;
  rows.bind(1, segment.first);
  rows.bind(2, segment.end() - 1);
  segment.bytes = 0;
  auto next =
      std::upper_bound(terms.begin(), terms.end(), segment.first,
                       [](raft::Index index, const raft::TermRun& run) { return index < run.first; });
  for (raft::Index index = segment.first; index < segment.end(); ++index) {
    const int code = rows.step();
    if (code == SQLITE_DONE) return missing(database, index);
    if (code != SQLITE_ROW) return database.error(base::format("read entry %llu", Number{index}), code);
    if (base::Status status = check_row(database, rows, index); !status.is_ok()) return status;
    if (next != terms.end() && next->first == index) ++next;
    if (next == terms.begin() || std::prev(next)->term != rows.integer(kTerm)) {
      return base::Status::error(
          base::format("%s: damaged: entry %llu has term %llu, table terms says otherwise",
                       database.path().c_str(), Number{index}, Number{rows.integer(kTerm)}));
    }
    if (base::Status status = check_kind(database, rows, log.configurations); !status.is_ok()) return status;
    segment.bytes += rows.bytes(kPayload).size();
  }
  return {};
}

}  // namespace leto::storage
