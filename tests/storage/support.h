// What the storage tests share: entries to write, a broken disk as an exception, stores on a TestDisk.
#pragma once

#include <doctest/doctest.h>
#include <sqlite3.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "raft/types.h"
#include "storage/fatal.h"
#include "storage/key_store.h"
#include "storage/log_store.h"
#include "tests/storage/test_vfs.h"

namespace leto::storage {

// Thrown in place of the process's end.
struct DiskDied : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// While it lives, a fatal error throws DiskDied.
class FatalThrows {
 public:
  FatalThrows() {
    set_fatal_handler([](const std::string& text) { throw DiskDied(text); });
  }
  ~FatalThrows() { set_fatal_handler(nullptr); }
};

inline raft::Entry make_entry(raft::Term term, raft::Index index, std::string payload) {
  return {.id = {.term = term, .index = index}, .kind = raft::EntryKind::kCommands,
          .payload = std::make_shared<const std::string>(std::move(payload))};
}

inline raft::Configuration make_configuration(size_t members) {
  raft::Configuration configuration;
  for (raft::NodeId node = 1; node <= members; ++node) {
    configuration.members.push_back({.node = node,
                                     .id = "id" + std::to_string(node),
                                     .role = raft::MemberRole::kVoter,
                                     .raft_address = "127.0.0.1:15379",
                                     .client_address = "127.0.0.1:5379"});
  }
  return configuration;
}

inline raft::Entry make_configuration_entry(raft::Term term, raft::Index index, size_t members) {
  return {.id = {.term = term, .index = index},
          .kind = raft::EntryKind::kConfiguration,
          .payload =
              std::make_shared<const std::string>(raft::encode_configuration(make_configuration(members)))};
}

// Small segments and a small WAL, so that few entries meet every path.
inline LogStoreOptions small_log(const TestDisk& disk) {
  LogStoreOptions options;
  options.directory = "/disk";
  options.vfs = disk.name();
  options.segment_entries_max = 8;
  options.wal_bytes = 16 << 10;
  options.checkpoint_frames = 12;
  return options;
}

inline std::unique_ptr<LogStore> open_log(const LogStoreOptions& options) {
  base::Result<std::unique_ptr<LogStore>> store = LogStore::open(options);
  REQUIRE_MESSAGE(store.is_ok(), store.status().text());
  return std::move(store.value());
}

// The sentence that open() refuses with; empty if it does not.
inline std::string log_refusal(const LogStoreOptions& options) {
  base::Result<std::unique_ptr<LogStore>> store = LogStore::open(options);
  return store.is_ok() ? std::string() : store.status().text();
}

inline std::unique_ptr<KeyStore> open_keys(const TestDisk& disk) {
  base::Result<std::unique_ptr<KeyStore>> store =
      KeyStore::open({.directory = "/disk", .vfs = disk.name(), .generation = 1});
  REQUIRE_MESSAGE(store.is_ok(), store.status().text());
  return std::move(store.value());
}

inline std::string keys_refusal(const TestDisk& disk) {
  base::Result<std::unique_ptr<KeyStore>> store =
      KeyStore::open({.directory = "/disk", .vfs = disk.name(), .generation = 1});
  return store.is_ok() ? std::string() : store.status().text();
}

// As a person would ask, with `sqlite3 -readonly`. Rows end with a semicolon, columns with a bar.
inline std::string select(const TestDisk& disk, const std::string& sql) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open_v2("/disk/keys-1.db", &database, SQLITE_OPEN_READONLY, disk.name().c_str()) == SQLITE_OK);
  std::string out;
  const auto add = [](void* text, int columns, char** values, char**) {
    for (int i = 0; i < columns; ++i) {
      static_cast<std::string*>(text)
          ->append(values[i] ? values[i] : "NULL")
          .append(i + 1 < columns ? "|" : ";");
    }
    return 0;
  };
  const int code = sqlite3_exec(database, sql.c_str(), add, &out, nullptr);
  CHECK_MESSAGE(code == SQLITE_OK, sqlite3_errmsg(database));
  sqlite3_close(database);
  return out;
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace leto::storage
