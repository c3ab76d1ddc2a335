// bin/leto: reads the command line and runs the server.
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "base/heap.h"
#include "server/check.h"
#include "server/options.h"
#include "server/recover.h"
#include "server/server.h"
#include "server/version.h"

int main(int argc, char** argv) {
  // Before any call of libuv: of names that are looked up at once, as many as may be without an answer for long.
  setenv("UV_THREADPOOL_SIZE", "6", 1);
  leto::base::keep_freed_memory();
  std::signal(SIGPIPE, SIG_IGN);
  // A terminal that closes ends no node, as none of redis-server's.
  std::signal(SIGHUP, SIG_IGN);
  leto::base::Result<leto::server::CommandLine> line = leto::server::parse_command_line(argc, argv);
  if (!line.is_ok()) {
    std::fprintf(stderr, "%s\n", line.status().text().c_str());
    return 1;
  }
  if (line.value().help_wanted) {
    std::fputs(leto::server::usage().c_str(), stdout);
    return 0;
  }
  if (line.value().version_wanted) {
    std::fputs(leto::server::version_text().c_str(), stdout);
    return 0;
  }
  if (!line.value().check_wanted.empty()) return leto::server::check(line.value().check_wanted);
  if (!line.value().recover_wanted.empty()) {
    return leto::server::recover(line.value().recover_wanted, line.value().new_cluster);
  }
  leto::server::Server server(std::move(line.value().options));
  return server.run();
}
