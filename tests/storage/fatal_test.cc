#include "storage/fatal.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

namespace leto::storage {
namespace {

TEST_CASE("a fatal error that nobody handles ends the process at once, with its status and the sentence") {
  int channel[2];
  REQUIRE(pipe(channel) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    dup2(channel[1], STDERR_FILENO);
    set_fatal_handler(nullptr);
    fatal("raft.db: cannot be synced");
    _exit(0);
  }
  close(channel[1]);
  char said[256] = {};
  CHECK(read(channel[0], said, sizeof said - 1) > 0);
  close(channel[0]);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == kFatalExitStatus);
  CHECK(std::string(said).find("raft.db: cannot be synced; ending now") != std::string::npos);
}

}  // namespace
}  // namespace leto::storage
