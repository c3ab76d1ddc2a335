// Reading raft.db and all keys files for what is left of them; see salvage.h.
#include "storage/salvage.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "storage/aside.h"
#include "storage/check.h"
#include "storage/log_tables.h"
#include "storage/meta.h"
#include "storage/namespaces.h"
#include "storage/sqlite.h"
#include "storage/vfs_file.h"

namespace leto::storage {

namespace {

std::unique_ptr<Database> open_to_read(const std::string& path) {
  if (!file_exists(kVfsWithoutLocks, path)) return nullptr;
  base::Result<std::unique_ptr<Database>> opened =
      Database::open({.path = path, .vfs = kVfsWithoutLocks, .exclusive = true, .read_only = true});
  if (!opened.is_ok() || opened.value()->is_new()) return nullptr;
  return std::move(opened.value());
}

struct Found {
  Salvage result;
  raft::Index configuration_index = 0;

  void configuration(raft::Index index, raft::Configuration configuration) {
    if (configuration.members.empty() || index < configuration_index) return;
    configuration_index = index;
    result.configuration = std::move(configuration);
  }
};

void look_at_log(const std::string& directory, Found& found) {
  const std::unique_ptr<Database> database = open_to_read(directory + "/raft.db");
  if (!database) return;
  Meta meta(*database);
  if (!meta.open(FileKind::kLog).is_ok()) return;
  LogContents contents;
  const bool sound = read_log(*database, meta, contents).is_ok();
  if (!sound) contents = read_what_is_left(*database, meta);
  for (raft::ConfigurationAt& each : contents.recovered.configurations) {
    found.configuration(each.index, each.configuration);
  }
  found.result.identity = std::move(contents.identity);
  if (sound) found.result.log = std::move(contents.recovered);
}

void look_at_keys(const std::string& directory, uint64_t generation, Found& found) {
  const std::unique_ptr<Database> database = open_to_read(keys_path(directory, generation));
  if (!database) return;
  Meta meta(*database);
  if (!meta.open(FileKind::kKeys).is_ok()) return;
  // Each on its own: one that is damaged hides no other.
  const auto number = [&meta](const char* name) {
    uint64_t value = 0;
    base::Status status;
    meta.read(name, value, status);
    return value;
  };
  std::string bytes;
  base::Status status;
  meta.read("configuration", bytes, status);
  raft::Configuration configuration;
  if (raft::decode_configuration(bytes, configuration)) {
    found.configuration(number("configuration_index"), std::move(configuration));
  }
  Salvage& result = found.result;
  result.witness.index = std::max(result.witness.index, number("witness_index"));
  result.witness.term = std::max(result.witness.term, number("witness_term"));
  result.applied = std::max(result.applied, number("applied_index"));
}

// One by one: a damaged one costs none before it.
std::vector<raft::Entry> read_behind(Database& database, const std::vector<Segment>& segments, raft::Index after) {
  std::vector<raft::Entry> entries;
  for (const Segment& segment : segments) {
    for (raft::Index next = after + entries.size() + 1; next < segment.end(); ++next) {
      ReadRange range{.from = next, .last = next, .bytes_max = 0};
      std::vector<raft::Entry> one;
      if (next < segment.first || !read_segment(database, segment, range, one).is_ok() || one.empty()) return entries;
      entries.push_back(std::move(one[0]));
    }
  }
  return entries;
}

// raft.db, and its segments as far as they are known; without a database: it cannot be read.
struct LogToRead {
  std::unique_ptr<Database> database;
  std::vector<Segment> segments;
};

LogToRead open_log_to_read(const std::string& directory) {
  std::unique_ptr<Database> database = open_to_read(directory + "/raft.db");
  if (!database) return {};
  std::vector<Segment> segments;
  {
    Meta meta(*database);
    if (!meta.open(FileKind::kLog).is_ok()) return {};
    segments = read_what_is_left(*database, meta).segments;
  }
  return {.database = std::move(database), .segments = std::move(segments)};
}

// All of a segment that is to begin with entry `next`, which is moved behind its last. In parts, as it may be large.
bool is_sound(Database& database, const Segment& segment, raft::Index& next) {
  constexpr uint64_t kPartBytes = 1 << 20;
  if (segment.first != next) return false;
  while (next < segment.end()) {
    ReadRange range{.from = next, .last = segment.end() - 1, .bytes_max = kPartBytes};
    std::vector<raft::Entry> part;
    if (!read_segment(database, segment, range, part).is_ok() || part.empty()) return false;
    next = part.back().id.index + 1;
  }
  return true;
}

}  // namespace

std::vector<raft::Entry> salvage_entries(const std::string& directory, raft::Index after) {
  const LogToRead log = open_log_to_read(directory);
  if (!log.database) return {};
  return read_behind(*log.database, log.segments, after);
}

bool has_all_entries(const std::string& directory, raft::Index last) {
  const LogToRead log = open_log_to_read(directory);
  raft::Index next = 1;
  for (const Segment& segment : log.segments) {
    if (!is_sound(*log.database, segment, next)) return false;
  }
  return log.database != nullptr && next == last + 1;
}

base::Status salvage_keys(const std::string& directory, uint64_t generation, const KeyStore::Sink& sink,
                          const std::function<void(const std::string& sentence)>& lost) {
  base::Result<std::unique_ptr<Database>> opened =
      Database::open({.path = keys_path(directory, generation), .vfs = "", .read_only = true});
  if (!opened.is_ok()) return opened.take_status();
  Database& database = *opened.value();
  Meta meta(database);
  if (base::Status status = meta.open(FileKind::kKeys); !status.is_ok()) return status;
  Namespaces namespaces;
  if (base::Status status = namespaces.open_for_reading(database, 0); !status.is_ok()) return status;
  for (uint32_t db = 0; db < keyspace::kDatabases; ++db) {
    KeyTables* const tables = namespaces.find_database(db);
    if (tables == nullptr) continue;
    const auto visit = [&sink, db](std::string_view key, keyspace::Item item) { sink(db, key, std::move(item)); };
    if (base::Status status = tables->salvage(database, db, visit, lost); !status.is_ok()) lost(status.text());
  }
  return {};
}

Salvage salvage_directory(const std::string& directory) {
  Found found;
  look_at_log(directory, found);
  for (const uint64_t generation : keys_generations(directory)) look_at_keys(directory, generation, found);
  return std::move(found.result);
}

}  // namespace leto::storage
