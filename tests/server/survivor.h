// The data directory of a member of a cluster of three, for tests of what becomes of it when others or bytes are lost.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "server/recover.h"
#include "storage/load.h"
#include "tests/server/data_directory.h"

namespace leto::server {

inline constexpr raft::Term kTerm = 7;
inline constexpr uint64_t kWalHeaderBytes = 32;
inline constexpr size_t kPageBytes = 4096;

struct Survivor : DataDirectory {
  using DataDirectory::DataDirectory;
  // One of three and the `newcomers`, with entries up to 5, keys as of 3, and a witness that may be ahead of the log.
  void make(storage::Witness witness = {.index = 4, .term = kTerm}, const std::vector<raft::Member>& newcomers = {}) {
    base::Result<OpenedDirectory> opened = open();
    REQUIRE(opened.is_ok());
    OpenedDirectory& directory = opened.value();
    before = directory.start.identity;
    raft::Configuration three = directory.start.recovered.configurations[0].configuration;
    three.members.push_back({.node = 1, .id = "id2", .raft_address = "there:2", .client_address = "there:3"});
    three.members.push_back({.node = 2, .id = "id3", .raft_address = "there:4", .client_address = "there:5"});
    three.members.insert(three.members.end(), newcomers.begin(), newcomers.end());
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
  // Every file but the lock, with what is in it.
  std::map<std::string, std::string> contents() const {
    std::map<std::string, std::string> all;
    for (const auto& each : std::filesystem::recursive_directory_iterator(path)) {
      if (!each.is_regular_file() || each.path().filename() == "LOCK") continue;
      std::ifstream stream(each.path(), std::ios::binary);
      all[each.path().string()] = {std::istreambuf_iterator<char>(stream), {}};
    }
    return all;
  }
  void flip(const std::string& file, uint64_t offset) const {
    std::fstream stream(path + "/" + file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekg(static_cast<std::streamoff>(offset));
    const int byte = stream.get();
    REQUIRE(byte >= 0);
    stream.seekp(static_cast<std::streamoff>(offset));
    stream.put(static_cast<char>(~byte));
  }
  // The only member, killed when nothing of raft.db but its tables was in the file yet; its keys are of generation 2.
  void make_alone() {
    base::Result<OpenedDirectory> opened = open();
    REQUIRE(opened.is_ok());
    OpenedDirectory& directory = opened.value();
    before = directory.start.identity;
    const raft::Configuration alone = directory.start.recovered.configurations[0].configuration;
    keyspace::Keyspace keyspace;
    keyspace.set(0, "key", {.value = keyspace::make_string("precious"), .version = {.index = 3, .position = 0}});
    const keyspace::StateHeader header{.applied_index = 3, .applied_term = 1,
                                       .configuration = raft::encode_configuration(alone), .configuration_index = 1,
                                       .digest = keyspace.digest()};
    const std::unique_ptr<storage::KeyStore> keys = std::move(make_keys(path, 2).value());
    REQUIRE(keys->flush(keyspace.freeze(header), {.index = 3, .term = 1}).is_ok());
    storage::LogWrite write;
    write.install = {.last = {.term = 1, .index = 3}, .keys_generation = 2};
    REQUIRE(directory.log->write({write}) == storage::WriteResult::kDurable);
  }
  // The same as after make(), but that the log begins behind entry 3, and that the keys are of generation 2, and two.
  enum class End : uint8_t { kInOrder, kKilled };
  void make_compacted(End end = End::kInOrder) {
    make();
    OpenedDirectory opened = std::move(open().value());
    const std::unique_ptr<storage::KeyStore> keys = std::move(make_keys(path, 2).value());
    keyspace::Keyspace keyspace;
    keyspace.set(0, "key", {.value = keyspace::make_string("precious"), .version = {.index = 3, .position = 0}});
    keyspace.set(7, "other", {.value = keyspace::make_string("kept"), .version = {.index = 3, .position = 1}});
    opened.start.header.digest = keyspace.digest();
    REQUIRE(keys->flush(keyspace.freeze(opened.start.header), {.index = 4, .term = kTerm}).is_ok());
    REQUIRE(keys->close().is_ok());
    storage::LogWrite write;
    write.install = {.last = {.term = kTerm, .index = 3}, .keys_generation = 2};
    for (raft::Index index = 4; index <= 5; ++index) write.append.push_back(entry(index, {}));
    REQUIRE(opened.log->write({write}) == storage::WriteResult::kDurable);
    if (end == End::kInOrder) close(opened);
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

  // As if a commit had only just begun the WAL anew.
  void empty_wal(const std::string& file) const {
    const std::string wal = path + "/" + file + "-wal";
    const auto size = std::filesystem::file_size(wal);
    std::filesystem::resize_file(wal, kWalHeaderBytes);
    std::filesystem::resize_file(wal, size);
  }
  // What `file` says at `text` says something else; its WAL has nothing that would heal it.
  void rot(const std::string& file, const std::string& text) const {
    put_over(file, text, [](size_t at) { return at; }, "X");
  }
  // The page of `file` that has `text` is zeros; its WAL has nothing that would heal it.
  void lose_page(const std::string& file, const std::string& text) const {
    put_over(file, text, [](size_t at) { return at / kPageBytes * kPageBytes; }, std::string(kPageBytes, '\0'));
  }

  std::string report;
  storage::Identity before;
  raft::Index applied = 3;

 private:
  // At `place` of where `file` says `text` last.
  template <typename Place>
  void put_over(const std::string& file, const std::string& text, Place place, const std::string& rubbish) const {
    empty_wal(file);
    std::fstream stream(path + "/" + file, std::ios::in | std::ios::out | std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(stream), {}};
    const size_t at = bytes.rfind(text);
    REQUIRE(at != std::string::npos);
    stream.clear();
    stream.seekp(static_cast<std::streamoff>(place(at)));
    stream << rubbish;
  }
};

}  // namespace leto::server
