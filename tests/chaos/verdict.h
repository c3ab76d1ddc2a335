// Judges all that the clients of a run were told. Refuses to know nodes, and how the run went.
#pragma once

#include <string>
#include <vector>

#include "tests/checker/history.h"

namespace leto::chaos {

struct Verdict {
  std::string violation;                  // Empty: all is well.
  std::vector<std::string> operations;    // Of the key that is to blame, a line each.
};

Verdict judge(const checker::History& history);

}  // namespace leto::chaos
