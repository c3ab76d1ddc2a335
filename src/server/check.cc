// The report of storage/check.h for a person.
#include "server/check.h"

#include <cstdio>
#include <string>

#include "server/founder.h"
#include "server/repair.h"
#include "storage/aside.h"
#include "storage/check.h"
#include "storage/damage.h"
#include "storage/directory.h"
#include "storage/peek.h"
#include "storage/salvage.h"

namespace leto::server {

namespace {

const char* repair_prospects(const std::string& directory) {
  if (storage::salvage_directory(directory).configuration.members.size() != 1) {
    return "If other nodes have the data, it is repaired when it is started (option repair)";
  }
  return "It is the only member of its cluster: no other node has its data. A start makes the keys anew if only they are damaged and "
         "the log has every entry; else put back a backup, or go on with what is readable by --recover DIR --new-cluster";
}

int report_on(const std::string& directory) {
  const std::string mark = marked_damage(directory);
  if (!mark.empty()) std::printf("noted while the node ran, and judged by its next start: %s\n", mark.c_str());
  if (const std::string why = misplaced_sentence(directory); !why.empty()) {
    std::printf("why it ended, and is not started without -join: %s\n", why.c_str());
  }
  storage::CheckReport report = storage::check_directory(directory, storage::kVfsWithoutLocks);
  // No look at the files can take it back.
  if (storage::is_seen_by_others(mark)) report.damages.push_back(mark);
  for (const std::string& note : report.notes) std::printf("%s\n", note.c_str());
  for (const std::string& damage : report.damages) std::printf("DAMAGED %s\n", damage.c_str());
  if (report.damages.empty()) {
    std::printf("%s is sound\n", directory.c_str());
    return 0;
  }
  std::printf("%s is damaged. %s.\n", directory.c_str(), repair_prospects(directory));
  return 1;
}

// What is no damage, and yet cannot be examined by this program.
base::Status can_be_examined(const std::string& directory) {
  if (storage::file_bytes(directory + "/raft.db") == 0 && storage::keys_generations(directory).empty()) {
    return base::Status::error(directory + ": there is no node here: neither a raft.db nor a keys file");
  }
  base::Result<std::string> id = storage::peek_id(directory);
  return id.is_ok() ? base::Status() : id.take_status();
}

}  // namespace

int check(const std::string& directory) {
  base::Result<storage::DirectoryLock> lock = storage::DirectoryLock::acquire_to_read(directory);
  base::Status status = lock.is_ok() ? can_be_examined(lock.value().path()) : lock.take_status();
  if (status.is_ok()) return report_on(lock.value().path());
  std::fprintf(stderr, "%s\n", status.text().c_str());
  return 1;
}

}  // namespace leto::server
