#include "server/tick.h"

#include <algorithm>

#include "raft/raft.h"

namespace leto::server {

uint64_t Ticks::count(uint64_t now_us) {
  const uint64_t passed = (now_us - counted_us_) / kTickUs;
  counted_us_ += passed * kTickUs;
  return passed;
}

uint64_t Ticks::due(uint64_t passed) { return std::min(passed, raft::kTicksOwedMax); }

}  // namespace leto::server
