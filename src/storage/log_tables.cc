// Reading and checking raft.db at start; see log_tables.h.
#include "storage/log_tables.h"

#include <sqlite3.h>

#include <utility>

#include "base/format.h"

namespace leto::storage {

namespace {

using Number = unsigned long long;

base::Status damaged(const Database& database, const std::string& what) {
  return base::Status::error(database.path() + ": damaged: " + what);
}

base::Status read_identity(Meta& meta, std::optional<Identity>& identity) {
  Identity found;
  base::Status status;
  meta.read("node", found.node, status);
  meta.read("id", found.id, status);
  meta.read("cluster_id", found.cluster_id, status);
  meta.read("cluster_secret", found.cluster_secret, status);
  meta.read("keys_generation", found.keys_generation, status);
  // A program that does not know the row leaves it behind in a directory that goes over to another cluster.
  std::string founded;
  meta.read("founded", founded, status);
  found.founded = !founded.empty() && founded == found.cluster_id;
  if (status.is_ok() && found.node != raft::kNobody) identity = std::move(found);
  return status;
}

// Rows that one transaction writes are there together or not at all.
base::Status check_written_together(Database& database, Meta& meta) {
  static const std::vector<std::vector<const char*>> kGroups = {
      {"term", "voted_for"}, {"base_index", "base_term"}, {"id", "node", "cluster_id", "cluster_secret", "keys_generation"}};
  for (const std::vector<const char*>& group : kGroups) {
    const char* there = nullptr;
    const char* missing = nullptr;
    for (const char* name : group) {
      base::Result<std::optional<std::string>> found = meta.get(name);
      if (!found.is_ok()) return found.take_status();
      (found.value() ? there : missing) = name;
    }
    if (there != nullptr && missing != nullptr) {
      return damaged(database, base::format("table meta has a row '%s', but none '%s'", there, missing));
    }
  }
  return {};
}

// The log starts behind its base, and each segment where the one before ends.
base::Status read_segments(Database& database, LogContents& contents) {
  raft::Index expected = contents.recovered.base.index + 1;
  return database.for_each_row("SELECT first, bytes FROM segments ORDER BY first", [&](const Statement& row) {
    const raft::Index first = row.integer(0);
    if (first != expected) {
      return damaged(database, base::format("the segment after entry %llu starts at %llu: entries between are missing or doubled",
                                            Number{expected - 1}, Number{first}));
    }
    base::Result<Segment> segment = measure_segment(database, first);
    if (!segment.is_ok()) return segment.take_status();
    segment.value().bytes = row.integer(1);
    contents.segments.push_back(segment.value());
    expected = segment.value().end();
    return base::Status();
  });
}

base::Status read_terms(Database& database, LogContents& contents) {
  std::vector<raft::TermRun>& terms = contents.recovered.terms;
  const raft::EntryId base = contents.recovered.base;
  const raft::Index last = contents.segments.empty() ? base.index : contents.segments.back().end() - 1;
  raft::TermRun before{.first = base.index, .term = base.term};
  base::Status status =
      database.for_each_row("SELECT first, term FROM terms ORDER BY first", [&](const Statement& row) {
        const raft::TermRun run{.first = row.integer(0), .term = row.integer(1)};
        // The base's term may go on behind it.
        const bool rises = run.term > before.term || (terms.empty() && base.index > 0 && run.term == base.term);
        if (run.first <= before.first || run.first > last || !rises) {
          return damaged(
              database,
              base::format("table terms says that term %llu starts at entry %llu, after term %llu at "
                           "%llu in a log that ends at %llu",
                           Number{run.term}, Number{run.first}, Number{before.term}, Number{before.first},
                           Number{last}));
        }
        terms.push_back(run);
        before = run;
        return base::Status();
      });
  contents.recovered.last = base;
  if (!status.is_ok() || last == base.index) return status;
  if (terms.empty() || terms.front().first != contents.segments.front().first) {
    return damaged(database, "table terms does not cover the first entry");
  }
  contents.recovered.last = {.term = terms.back().term, .index = last};
  return {};
}

base::Status verify_tail(Database& database, LogContents& contents) {
  const size_t count = contents.segments.size();
  for (size_t i = count > kVerifiedSegments ? count - kVerifiedSegments : 0; i < count; ++i) {
    base::Status status = verify_segment(database, contents.segments[i], {contents.recovered.terms, contents.configurations});
    if (!status.is_ok()) return status;
  }
  return {};
}

base::Status read_configuration_indexes(Database& database, LogContents& contents) {
  return database.for_each_row("SELECT idx FROM configurations ORDER BY idx", [&contents](const Statement& row) {
    contents.configurations.push_back(row.integer(0));
    return base::Status();
  });
}

base::Status read_configuration(Database& database, LogContents& contents, raft::Index index) {
  std::vector<raft::Entry> entries;
  for (const Segment& segment : contents.segments) {
    if (index < segment.first || index >= segment.end()) continue;
    ReadRange range{.from = index, .last = index, .bytes_max = 0};
    if (base::Status status = read_segment(database, segment, range, entries); !status.is_ok()) {
      return status;
    }
  }
  raft::ConfigurationAt found{.index = index, .configuration = {}};
  if (entries.empty() || entries[0].kind != raft::EntryKind::kConfiguration ||
      !raft::decode_configuration(*entries[0].payload, found.configuration)) {
    return damaged(database, base::format("entry %llu is no configuration, table configurations says it is",
                                          Number{index}));
  }
  contents.recovered.configurations.push_back(std::move(found));
  return {};
}

}  // namespace

int create_log_tables(Database& database) {
  return database.execute(
      "CREATE TABLE segments(first INTEGER PRIMARY KEY, bytes INTEGER NOT NULL);"
      "CREATE TABLE terms(first INTEGER PRIMARY KEY, term INTEGER NOT NULL);"
      "CREATE TABLE configurations(idx INTEGER PRIMARY KEY)");
}

int write_identity(Meta& meta, const Identity& identity) {
  int code = meta.set("id", identity.id);
  if (code == SQLITE_OK) code = meta.set("node", identity.node);
  if (code == SQLITE_OK) code = meta.set("cluster_id", identity.cluster_id);
  if (code == SQLITE_OK) code = meta.set("cluster_secret", identity.cluster_secret);
  if (code == SQLITE_OK) code = meta.set("keys_generation", identity.keys_generation);
  if (code != SQLITE_OK) return code;
  return identity.founded ? meta.set("founded", identity.cluster_id) : erase_founded(meta);
}

int erase_founded(Meta& meta) { return meta.erase("founded"); }

int write_hard_state(Meta& meta, const raft::HardState& hard_state) {
  const int code = meta.set("term", hard_state.term);
  return code == SQLITE_OK ? meta.set("voted_for", hard_state.voted_for) : code;
}

int write_base(Meta& meta, raft::EntryId base) {
  const int code = meta.set("base_index", base.index);
  return code == SQLITE_OK ? meta.set("base_term", base.term) : code;
}

int erase_base(Meta& meta) {
  const int code = meta.erase("base_index");
  return code == SQLITE_OK ? meta.erase("base_term") : code;
}

base::Status read_log(Database& database, Meta& meta, LogContents& contents) {
  base::Status status = database.check_tables({"sqlite_schema", "meta", "segments", "terms", "configurations"});
  if (status.is_ok()) status = read_identity(meta, contents.identity);
  meta.read("term", contents.recovered.hard_state.term, status);
  meta.read("voted_for", contents.recovered.hard_state.voted_for, status);
  meta.read("base_index", contents.recovered.base.index, status);
  meta.read("base_term", contents.recovered.base.term, status);
  if (status.is_ok()) status = check_written_together(database, meta);
  if (status.is_ok()) status = read_segments(database, contents);
  if (status.is_ok()) status = read_terms(database, contents);
  if (status.is_ok()) status = read_configuration_indexes(database, contents);
  if (status.is_ok()) status = verify_tail(database, contents);
  for (size_t i = 0; i < contents.configurations.size() && status.is_ok(); ++i) {
    status = read_configuration(database, contents, contents.configurations[i]);
  }
  return status;
}

LogContents read_what_is_left(Database& database, Meta& meta) {
  LogContents contents;
  base::Status status = read_identity(meta, contents.identity);
  meta.read("base_index", contents.recovered.base.index, status);
  // Each as far as it can be read; why no further was said when the file was refused.
  status = read_segments(database, contents);
  status = read_configuration_indexes(database, contents);
  for (const raft::Index index : contents.configurations) status = read_configuration(database, contents, index);
  return contents;
}

}  // namespace leto::storage
