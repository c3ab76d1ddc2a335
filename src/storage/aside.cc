// Notes, folders and renames; see aside.h.
#include "storage/aside.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "base/format.h"
#include "storage/directory.h"
#include "storage/meta.h"
#include "storage/vfs_file.h"

namespace leto::storage {

namespace {

constexpr mode_t kFolderMode = 0700;
constexpr mode_t kNoteMode = 0600;
constexpr const char* kFolderPrefix = "damaged-";

base::Status failed(const char* action, const std::string& path) {
  return base::Status::error(base::format("cannot %s %s: %s", action, path.c_str(), std::strerror(errno)));
}

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> open(opendir(directory.c_str()), &closedir);
  if (!open) return names;
  for (const dirent* each = readdir(open.get()); each != nullptr; each = readdir(open.get())) names.emplace_back(each->d_name);
  return names;
}

// The number between `prefix` and `suffix`, if that is all there is.
std::optional<uint64_t> number_in(const std::string& name, std::string_view prefix, std::string_view suffix) {
  if (!name.starts_with(prefix) || !name.ends_with(suffix) || name.size() <= prefix.size() + suffix.size()) return {};
  return parse_decimal(std::string_view(name).substr(prefix.size(), name.size() - prefix.size() - suffix.size()));
}

bool is_keys_file(const std::string& name) {
  for (const char* suffix : {".db", ".db-wal", ".db-shm", ".db-journal"}) {
    if (number_in(name, "keys-", suffix)) return true;
  }
  return false;
}

bool is_log_file(const std::string& name) { return name == "raft.db" || name.starts_with("raft.db-"); }

base::Status sync_both(const std::string& one, const std::string& other) {
  base::Status status = sync_directory(one);
  return status.is_ok() ? sync_directory(other) : std::move(status);
}

// A database before what belongs to it: cut off between the two, what is left is no database, rather than an older state of one.
template <typename Wanted>
base::Status move_files(const std::string& directory, const std::string& folder, Wanted wanted) {
  const std::string to = directory + "/" + folder;
  if (base::Status status = make_folder(to); !status.is_ok()) return status;
  std::vector<std::string> names = names_in(directory);
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    if (!wanted(name)) continue;
    const std::string from = directory + "/" + name;
    if (rename(from.c_str(), (to + "/" + name).c_str()) != 0) return failed("move aside", from);
  }
  return sync_both(to, directory);
}

bool write_whole(int file, const std::string& text) {
  return ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(file) == 0;
}

}  // namespace

base::Status write_note(const std::string& path, const std::string& text) {
  const std::string draft = path + ".new";
  const int file = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kNoteMode);
  if (file < 0) return failed("make", draft);
  base::Status status = write_whole(file, text) ? base::Status() : failed("write", draft);
  ::close(file);
  if (!status.is_ok()) return status;
  return rename_note(draft, path);
}

std::string read_note(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return {};
  std::string text(kNoteBytesMax, '\0');
  const ssize_t size = ::read(file, text.data(), text.size());
  ::close(file);
  text.resize(size > 0 ? static_cast<size_t>(size) : 0);
  return text;
}

base::Status remove_note(const std::string& path) {
  if (unlink(path.c_str()) != 0) return errno == ENOENT ? base::Status() : failed("remove", path);
  return sync_parent(path);
}

base::Status rename_note(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) return failed("rename", from);
  return sync_parent(to);
}

std::vector<uint64_t> keys_generations(const std::string& directory) {
  std::vector<uint64_t> numbers;
  for (const std::string& name : names_in(directory)) {
    if (const std::optional<uint64_t> number = number_in(name, "keys-", ".db")) numbers.push_back(*number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

uint64_t file_bytes(const std::string& path) {
  struct stat found = {};
  return stat(path.c_str(), &found) == 0 ? static_cast<uint64_t>(found.st_size) : 0;
}

base::Status make_folder(const std::string& path) {
  return mkdir(path.c_str(), kFolderMode) == 0 || errno == EEXIST ? base::Status() : failed("make", path);
}

base::Status move_databases(const std::string& directory, const std::string& folder, Databases which) {
  return move_files(directory, folder, [which](const std::string& name) {
    return (which != Databases::kLog && is_keys_file(name)) || (which != Databases::kKeys && is_log_file(name));
  });
}

base::Status move_keys_file(const std::string& directory, const std::string& folder, uint64_t generation) {
  const std::string file = "keys-" + std::to_string(generation) + ".db";
  return move_files(directory, folder, [&file](const std::string& name) { return name == file || name.starts_with(file + "-"); });
}

base::Status bring_log(const std::string& directory, const std::string& folder) {
  const std::string from = directory + "/" + folder;
  for (const char* name : {"/raft.db-wal", "/raft.db"}) {
    if (rename((from + name).c_str(), (directory + name).c_str()) != 0 && errno != ENOENT) return failed("move", from + name);
  }
  if (base::Status status = sync_both(from, directory); !status.is_ok()) return status;
  rmdir(from.c_str());
  return {};
}

base::Status bring_keys(const std::string& directory, const std::string& folder, uint64_t generation) {
  const std::string from = directory + "/" + folder, name = "/keys-" + std::to_string(generation) + ".db";
  // What is there of that name, a snapshot that never became this node's, goes first: SQLite would lay its WAL over the new file.
  if (base::Status status = remove_database("", directory + name); !status.is_ok()) return status;
  if (rename((from + name).c_str(), (directory + name).c_str()) != 0) return failed("move", from + name);
  // Of a database that is closed they hold nothing.
  for (const char* other : {"-wal", "-shm"}) unlink((from + name + other).c_str());
  if (base::Status status = sync_both(from, directory); !status.is_ok()) return status;
  rmdir(from.c_str());
  return {};
}

std::string free_folder(const std::string& directory, uint64_t seconds) {
  std::string name;
  struct stat found = {};
  do {
    name = kFolderPrefix + std::to_string(seconds++);
  } while (stat((directory + "/" + name).c_str(), &found) == 0);
  return name;
}

std::string next_folder(const std::string& directory, uint64_t seconds) {
  prune_folders(directory, kFoldersKept - 1);
  return free_folder(directory, seconds);
}

bool is_folder(const std::string& name) { return number_in(name, kFolderPrefix, "").has_value(); }

void prune_folders(const std::string& directory, size_t kept) {
  std::vector<std::pair<uint64_t, std::string>> folders;
  for (const std::string& name : names_in(directory)) {
    if (const std::optional<uint64_t> number = number_in(name, kFolderPrefix, "")) folders.emplace_back(*number, name);
  }
  std::sort(folders.begin(), folders.end());
  for (size_t at = 0; at + kept < folders.size(); ++at) {
    const std::string folder = directory + "/" + folders[at].second;
    for (const std::string& name : names_in(folder)) unlink((folder + "/" + name).c_str());
    rmdir(folder.c_str());
  }
}

}  // namespace leto::storage
