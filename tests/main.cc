// The entry point of the unit tests; doctest brings the command line (-tc='*name*', -ltc, -s ...). Of what is logged only
// warnings are printed: the clusters of the tests have leaders by the thousand.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <csignal>

#include "base/log.h"

int main(int count, char** arguments) {
  std::signal(SIGPIPE, SIG_IGN);   // As the server.
  leto::base::set_log_level(leto::base::LogLevel::kWarning);
  return doctest::Context(count, arguments).run();
}
