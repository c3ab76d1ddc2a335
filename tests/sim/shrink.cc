#include "tests/sim/shrink.h"

#include <algorithm>
#include <chrono>

#include "base/format.h"
#include "tests/sim/ddmin.h"

namespace leto::sim {

namespace {

using Number = unsigned long long;
using Clock = std::chrono::steady_clock;

// A run that takes so much longer than the one that failed does not fail the same.
constexpr double kTimesLonger = 20, kSecondsAtLeast = 10;

NumberSet all_but(uint64_t decided, const std::vector<uint64_t>& kept) {
  NumberSet without;
  for (uint64_t number = 1; number <= decided; ++number) without.insert(number);
  for (const uint64_t number : kept) without.erase(number);
  return without;
}

class Shrinker {
 public:
  Shrinker(const TrialOptions& options, const ShrinkLimits& limits) : options_(options), limits_(limits) {}
  Shrunk go();

 private:
  bool fails_so(const std::vector<uint64_t>& kept);
  double seconds() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }

  TrialOptions options_;
  const ShrinkLimits limits_;
  const Clock::time_point begin_ = Clock::now();
  double run_seconds_max_ = 0;
  Shrunk shrunk_;
};

bool Shrinker::fails_so(const std::vector<uint64_t>& kept) {
  options_.run.without = all_but(shrunk_.last.decided, kept);
  options_.seconds_max = std::min(run_seconds_max_, limits_.seconds_max - seconds());
  ++shrunk_.runs;
  Trial trial = try_run(options_);
  if (trial.kind != shrunk_.last.kind) return false;
  shrunk_.last = std::move(trial);
  return true;
}

Shrunk Shrinker::go() {
  options_.seconds_max = limits_.seconds_max;
  ++shrunk_.runs;
  shrunk_.last = try_run(options_);
  shrunk_.failed_again = !shrunk_.last.kind.empty();
  NumberSet came;
  for (const FaultLine& line : shrunk_.last.faults) came.insert(line.fault);
  shrunk_.faults_before = came.size();
  shrunk_.kept.assign(came.begin(), came.end());
  if (shrunk_.failed_again) {
    run_seconds_max_ = std::max(kSecondsAtLeast, kTimesLonger * shrunk_.last.seconds);
    const auto may_go_on = [this] { return shrunk_.runs < limits_.runs_max && seconds() < limits_.seconds_max; };
    const Reduction reduction = reduce(shrunk_.kept, [this](const auto& kept) { return fails_so(kept); }, may_go_on);
    shrunk_.kept = reduction.kept;
    shrunk_.minimal = reduction.minimal && seconds() < limits_.seconds_max;
  }
  shrunk_.without = all_but(shrunk_.last.decided, shrunk_.kept);
  shrunk_.seconds = seconds();
  return std::move(shrunk_);
}

}  // namespace

Shrunk shrink(const TrialOptions& options, const ShrinkLimits& limits) { return Shrinker(options, limits).go(); }

std::string replay_line(uint64_t seed, const NumberSet& without) {
  return base::format("make sim SEED=%llu", Number{seed}) + (without.empty() ? "" : " WITHOUT=" + readable(without));
}

std::string readable(uint64_t seed, const Shrunk& shrunk) {
  std::string text = base::format("--- seed %llu: ", Number{seed});
  if (!shrunk.failed_again) return text + "it did not fail again, so its faults cannot be shrunk\n";
  text += base::format("%llu faults came to pass before it failed, ", Number{shrunk.faults_before});
  const size_t kept = shrunk.kept.size();
  text += kept == 0 ? "it fails without any" : base::format("%zu of them suffice%s", kept, kept == 1 ? "s" : "");
  text += base::format(" (%llu runs, %.1f s%s)\n", Number{shrunk.runs}, shrunk.seconds,
                       shrunk.minimal ? "" : "; the limit was reached, fewer may do");
  for (const FaultLine& line : shrunk.last.faults) text += "    fault " + readable(line) + "\n";
  text += "    fails the same: " + shrunk.last.text + "\n    replay: " + replay_line(seed, shrunk.without) + "\n";
  return text;
}

}  // namespace leto::sim
