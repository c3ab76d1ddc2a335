// What `leto -v` prints: the versions, and the sanitizer of a test's build, which the Tcl tests go by.
#include "server/version.h"

#include <doctest/doctest.h>

#include "base/sanitizer.h"

namespace leto::server::test {
namespace {

TEST_CASE("the version text ends with the sanitizer, if there is one, and else with the libraries") {
  const std::string text = version_text();
  CHECK(text.starts_with("Leto " + std::string(kVersion) + " "));
  const std::string sanitizer = "built with the " + std::string(base::kSanitizer) + " sanitizer\n";
  CHECK(text.ends_with(sanitizer) == !base::kSanitizer.empty());
  CHECK((text.find("sanitizer") != std::string::npos) == !base::kSanitizer.empty());
  CHECK(text.ends_with("\n"));
}

}  // namespace
}  // namespace leto::server::test
