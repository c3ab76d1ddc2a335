// The data directory of a member of a cluster of three, for tests of what becomes of it when others or bytes are lost.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "server/recover.h"
#include "storage/load.h"
#include "tests/server/data_directory.h"

namespace leto::server {

inline constexpr raft::Term kTerm = 7;

struct Survivor : DataDirectory {
  // One of three, with entries up to 5, keys as of 3, and a witness that may be ahead of the log.
  void make(storage::Witness witness = {.index = 4, .term = kTerm}) {
    base::Result<OpenedDirectory> opened = open();
    REQUIRE(opened.is_ok());
    OpenedDirectory& directory = opened.value();
    before = directory.start.identity;
    raft::Configuration three = directory.start.recovered.configurations[0].configuration;
    three.members.push_back({.node = 1, .id = "id2", .raft_address = "there:2", .client_address = "there:3"});
    three.members.push_back({.node = 2, .id = "id3", .raft_address = "there:4", .client_address = "there:5"});
    std::sort(three.members.begin(), three.members.end(), [](const auto& a, const auto& b) { return a.node < b.node; });
    storage::LogWrite write;
    write.hard_state = raft::HardState{.term = kTerm, .voted_for = before.node};
    for (raft::Index index = 2; index <= 5; ++index) write.append.push_back(entry(index, three));
    REQUIRE(directory.log->write({write}) == storage::WriteResult::kDurable);
    keyspace::Keyspace keyspace;
    keyspace.set(0, "key", {.value = keyspace::make_string("precious"), .version = {.index = 3, .position = 0}});
    const keyspace::StateHeader header{.applied_index = applied, .applied_term = kTerm,
                                       .configuration = raft::encode_configuration(three), .configuration_index = 2,
                                       .digest = keyspace.digest()};
    REQUIRE(directory.keys->flush(keyspace.freeze(header), witness).is_ok());
    REQUIRE(directory.keys->close().is_ok());
    REQUIRE(directory.log->close().is_ok());
  }
  static raft::Entry entry(raft::Index index, const raft::Configuration& three) {
    const bool first = index == 2;
    return {.id = {.term = kTerm, .index = index},
            .kind = first ? raft::EntryKind::kConfiguration : raft::EntryKind::kCommands,
            .payload = std::make_shared<const std::string>(first ? raft::encode_configuration(three) : "payload " + std::to_string(index))};
  }
  // What a node would be started with now; everything is closed again.
  OpenedDirectory visit() {
    base::Result<OpenedDirectory> opened = open();
    REQUIRE_MESSAGE(opened.is_ok(), opened.status().text());
    OpenedDirectory result = std::move(opened.value());
    keyspace::Keyspace keys;
    CHECK(storage::load_keyspace(*result.keys, keys).is_ok());
    CHECK(keys.size() == 1);
    close(result);
    return result;
  }
  // Its keys file says another term of entry 4 than the log.
  void get_keys_of_another_log() {
    OpenedDirectory opened = std::move(open().value());
    keyspace::Keyspace other;
    const keyspace::StateHeader header{.applied_index = 4, .applied_term = kTerm - 1, .configuration = {}, .digest = {}};
    REQUIRE(opened.keys->flush(other.freeze(header), {.index = 4, .term = kTerm}).is_ok());
    close(opened);
  }
  // So many more entries behind the fifth.
  void append(raft::Index count) {
    OpenedDirectory opened = std::move(open().value());
    storage::LogWrite write;
    const raft::Index last = opened.start.recovered.last.index;
    for (raft::Index index = last + 1; index <= last + count; ++index) write.append.push_back(entry(index, {}));
    REQUIRE(opened.log->write({write}) == storage::WriteResult::kDurable);
    close(opened);
  }
  base::Status recover() { return recover_as_new_cluster(path, report); }

  // What `file` says at `text` says something else; `file` has no WAL then, which would heal it.
  void rot(const std::string& file, const std::string& text) const {
    std::filesystem::remove(path + "/" + file + "-wal");
    std::fstream stream(path + "/" + file, std::ios::in | std::ios::out | std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(stream), {}};
    const size_t at = bytes.rfind(text);
    REQUIRE(at != std::string::npos);
    stream.clear();
    stream.seekp(static_cast<std::streamoff>(at));
    stream.put('X');
  }

  std::string report;
  storage::Identity before;
  raft::Index applied = 3;
};

}  // namespace leto::server
