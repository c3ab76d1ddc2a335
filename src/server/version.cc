#include "server/version.h"

#include <uv.h>

#include "base/format.h"
#include "resp/library_version.h"
#include "storage/library_version.h"

namespace leto::server {

std::string version_text() {
  return base::format("Leto %s (replies as Redis %s)\nlibuv %s, SQLite %s, hiredis %s\n", kVersion.data(),
                      kRedisVersion.data(), uv_version_string(), storage::sqlite_version(),
                      resp::hiredis_version().c_str());
}

}  // namespace leto::server
