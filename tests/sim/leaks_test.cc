#include "tests/sim/leaks.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sanitizer.h"

namespace leto::sim {
namespace {

// Some, as what is left in a register or on the stack keeps the last one from being a leak.
void leak() {
  for (int i = 0; i < 10; ++i) *static_cast<volatile char*>(new char[64]) = 'x';
}

// In a process of its own, so that the tests' own process leaks nothing.
bool found_after(void (*deed)()) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    close(STDERR_FILENO);
    deed();
    _exit(has_leaked() ? 1 : 0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status) == 1;
}

TEST_CASE("what a seed leaks is found before its process ends, under the address sanitizer") {
  CHECK(found_after(leak) == (base::kSanitizer == "address"));
  CHECK_FALSE(found_after([] {}));
}

}  // namespace
}  // namespace leto::sim
