// The report of storage/check.h for a person.
#include "server/check.h"

#include <cstdio>
#include <string>

#include "server/repair.h"
#include "storage/check.h"
#include "storage/directory.h"

namespace leto::server {

int check(const std::string& directory) {
  base::Result<storage::DirectoryLock> lock = storage::DirectoryLock::acquire_to_read(directory);
  if (!lock.is_ok()) {
    std::fprintf(stderr, "%s\n", lock.status().text().c_str());
    return 1;
  }
  if (const std::string mark = marked_damage(lock.value().path()); !mark.empty()) {
    std::printf("noted while the node ran, and judged by its next start: %s\n", mark.c_str());
  }
  const storage::CheckReport report = storage::check_directory(lock.value().path(), storage::kVfsWithoutLocks);
  for (const std::string& note : report.notes) std::printf("%s\n", note.c_str());
  for (const std::string& damage : report.damages) std::printf("DAMAGED %s\n", damage.c_str());
  if (report.damages.empty()) {
    std::printf("%s is sound\n", lock.value().path().c_str());
    return 0;
  }
  std::printf("%s is damaged. If other nodes have the data, it is repaired when it is started (option repair).\n",
              lock.value().path().c_str());
  return 1;
}

}  // namespace leto::server
