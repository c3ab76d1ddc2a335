// The end of the process on a broken disk; see fatal.h.
#include "storage/fatal.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace leto::storage {

namespace {

FatalHandler& handler() {
  static FatalHandler current;
  return current;
}

}  // namespace

void set_fatal_handler(FatalHandler replacement) { handler() = std::move(replacement); }

void fatal(const std::string& text) {
  if (handler()) return handler()(text);
  end_process(text, kFatalExitStatus);
}

void end_process(const std::string& text, int status) {
  std::fprintf(stderr, "leto: %s; ending now, nothing that was not durable is announced\n", text.c_str());
  std::_Exit(status);
}

}  // namespace leto::storage
