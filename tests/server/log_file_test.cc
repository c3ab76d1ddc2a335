#include "server/log_file.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

namespace leto::server {
namespace {

TEST_CASE("lines are appended in Redis's style, with the role's letter") {
  char path[] = "/tmp/leto-log-test-XXXXXX";
  const int made = mkstemp(path);
  REQUIRE(made >= 0);
  close(made);
  for (const char role : {'M', 'S'}) {
    base::Result<std::unique_ptr<LogFile>> file = LogFile::open(path);
    REQUIRE(file.is_ok());
    file.value()->set_role(role);
    file.value()->write(base::LogLevel::kWarning, std::string("as ") + role);
  }
  std::ifstream input(path);
  std::string first, second;
  std::getline(input, first);
  std::getline(input, second);
  unlink(path);
  CHECK(first.starts_with(std::to_string(getpid()) + ":M "));
  CHECK(first.ends_with(" # as M"));
  CHECK(second.starts_with(std::to_string(getpid()) + ":S "));
  CHECK(second.ends_with(" # as S"));
}

TEST_CASE("a file that cannot be opened is an error that names it") {
  base::Result<std::unique_ptr<LogFile>> file = LogFile::open("/no/such/directory/leto.log");
  REQUIRE_FALSE(file.is_ok());
  CHECK(file.status().text().find("/no/such/directory/leto.log") != std::string::npos);
}

}  // namespace
}  // namespace leto::server
