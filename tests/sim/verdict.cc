#include "tests/sim/verdict.h"

#include "base/format.h"

namespace leto::sim {

namespace {

using Number = unsigned long long;

constexpr uint64_t kAnsweredPercentMin = 60;

}  // namespace

std::vector<std::string> complaints(const RangeResult& result) {
  std::vector<std::string> all;
  const uint64_t ran = result.passed + result.failed;
  if (result.asked == 0) all.push_back("no seed was asked for");
  if (ran != result.asked) all.push_back(base::format("%llu seeds ran, %llu were asked for", Number{ran}, Number{result.asked}));
  for (size_t i = 0; i < kReached; ++i) {
    const auto what = static_cast<Reached>(i);
    if (ran < seeds_until_reached(what) || result.coverage.count(what) > 0) continue;
    all.push_back(base::format("no seed reached %s'%s'", i < kFaults ? "the fault " : "", reached_name(what)));
  }
  // Of a seed that died it is not known what was answered.
  const Tally& tally = result.tally;
  if (result.failed > 0) return all;
  if (tally.asked == 0) all.push_back("no operation was asked for");
  if (tally.answered * 100 < tally.asked * kAnsweredPercentMin) {
    all.push_back(base::format("less than %llu %% of the operations were answered", Number{kAnsweredPercentMin}));
  }
  return all;
}

}  // namespace leto::sim
