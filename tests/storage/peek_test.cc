// A look at a directory from outside: what it finds, and that it leaves everything as it was. On the real file system.
#include "storage/peek.h"

#include <doctest/doctest.h>
#include <sqlite3.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "base/format.h"
#include "storage/log_store.h"
#include "storage/meta.h"
#include "tests/storage/support.h"

namespace leto::storage {

namespace {

// Names and bytes of all files of a directory.
using Contents = std::map<std::string, std::string>;

class PeekedDirectory {
 public:
  PeekedDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "leto-peek-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path = pattern + "/data?%23 1";   // With all that means something in a URI.
    std::filesystem::create_directory(path);
  }
  ~PeekedDirectory() { std::filesystem::remove_all(std::filesystem::path(path).parent_path()); }

  // Files of a node called `id`, closed in good order.
  void make_node(const std::string& id) {
    LogStoreOptions options;
    options.directory = path;
    base::Result<std::unique_ptr<LogStore>> log = LogStore::open(options);
    REQUIRE_MESSAGE(log.is_ok(), log.status().text());
    Identity identity;
    identity.id = id;
    identity.node = 1;
    REQUIRE(log.value()->set_identity(identity).is_ok());
    base::Result<std::unique_ptr<KeyStore>> keys = KeyStore::open({.directory = path, .vfs = "", .generation = 1});
    REQUIRE_MESSAGE(keys.is_ok(), keys.status().text());
    REQUIRE(keys.value()->close().is_ok());
    REQUIRE(log.value()->close().is_ok());
  }
  // Another value in a row of `meta`, with its right checksum.
  void set(const std::string& file, const char* name, const std::string& value) {
    sqlite3* database = nullptr;
    REQUIRE(sqlite3_open((path + "/" + file).c_str(), &database) == SQLITE_OK);
    const std::string update = base::format("UPDATE meta SET value = CAST('%s' AS BLOB), crc = %u WHERE name = '%s'",
                                            value.c_str(), meta_row_crc(name, value), name);
    CHECK(sqlite3_exec(database, update.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
    CHECK(sqlite3_changes(database) == 1);
    sqlite3_close(database);
  }
  void write(const std::string& file, const std::string& bytes) const {
    std::ofstream(path + "/" + file, std::ios::binary) << bytes;
  }
  Contents contents() const {
    Contents result;
    for (const auto& each : std::filesystem::directory_iterator(path)) {
      std::ifstream stream(each.path(), std::ios::binary);
      result[each.path().filename().string()] = std::string(std::istreambuf_iterator<char>(stream), {});
    }
    return result;
  }
  // Looks, and checks that nothing was touched.
  base::Result<std::string> peek() const {
    const Contents before = contents();
    base::Result<std::string> found = peek_id(path);
    CHECK(contents() == before);
    return found;
  }
  std::string path;
};

TEST_CASE("a look finds the id of the node a directory belongs to, and changes nothing in it") {
  PeekedDirectory directory;
  directory.make_node("other");
  base::Result<std::string> found = directory.peek();
  REQUIRE(found.is_ok());
  CHECK(found.value() == "other");
}

TEST_CASE("a look into an empty or missing directory finds nobody and makes nothing") {
  const PeekedDirectory directory;
  base::Result<std::string> empty = directory.peek();
  REQUIRE(empty.is_ok());
  CHECK(empty.value().empty());
  base::Result<std::string> missing = peek_id(directory.path + "/missing");
  REQUIRE(missing.is_ok());
  CHECK(missing.value().empty());
  CHECK(!std::filesystem::exists(directory.path + "/missing"));
}

TEST_CASE("a file that is no database, or a cut one, tells nothing and stays as it is") {
  PeekedDirectory directory;
  directory.write("raft.db", "this is no database\n");
  CHECK(directory.peek().is_ok());
  directory.write("raft.db", "");
  CHECK(directory.peek().is_ok());
  std::filesystem::remove(directory.path + "/raft.db");
  directory.make_node("id1");
  std::filesystem::resize_file(directory.path + "/raft.db", 4096);
  CHECK(directory.peek().is_ok());
}

TEST_CASE("a newer format of either file is refused by name, and left alone") {
  for (const std::string file : {"raft.db", "keys-1.db"}) {
    PeekedDirectory directory;
    directory.make_node("id1");
    directory.set(file, "format", "2");
    base::Result<std::string> found = directory.peek();
    REQUIRE(!found.is_ok());
    CHECK(contains(found.status().text(), file + " has format 2, this leto reads up to 1"));
  }
}

TEST_CASE("a row whose checksum is wrong proves nothing: opening the file will say what is wrong") {
  PeekedDirectory directory;
  directory.make_node("id1");
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open((directory.path + "/raft.db").c_str(), &database) == SQLITE_OK);
  CHECK(sqlite3_exec(database, "UPDATE meta SET crc = crc + 1 WHERE name IN ('id', 'format')", nullptr, nullptr,
                     nullptr) == SQLITE_OK);
  sqlite3_close(database);
  base::Result<std::string> found = directory.peek();
  REQUIRE(found.is_ok());
  CHECK(found.value().empty());
}

}  // namespace

}  // namespace leto::storage
