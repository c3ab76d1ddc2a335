#include "server/version.h"

#include <uv.h>

#include "base/format.h"
#include "base/sanitizer.h"
#include "resp/library_version.h"
#include "storage/library_version.h"

namespace leto::server {

std::string version_text() {
  std::string text = base::format("Leto %s (replies as Redis %s)\nlibuv %s, SQLite %s, hiredis %s\n", kVersion.data(),
                                  kRedisVersion.data(), uv_version_string(), storage::sqlite_version(),
                                  resp::hiredis_version().c_str());
  if (!base::kSanitizer.empty()) text += base::format("built with the %s sanitizer\n", base::kSanitizer.data());
  return text;
}

}  // namespace leto::server
