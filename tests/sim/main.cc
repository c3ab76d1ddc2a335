// leto-sim: whole clusters in virtual time.
//
//   leto-sim --seed 7 [--trace] [--verify] [--without 3,7-12]   one seed; its hash is the last line
//   leto-sim --first 1 --seeds 1000 [--jobs 2] [--verify]       a range, and a summary
//
//   --without LIST        leaves out these faults; then nothing is shrunk unless it is asked for
//   --shrink-runs N       a failed seed is run so often, at most, to find which faults it needs (400; 0: not at all)
//   --shrink-seconds N    and for so long (30)
//   --shrink-seeds N      so many of the failed seeds of a range (3)
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdint>
#include <string_view>
#include <thread>
#include <utility>

#include "tests/sim/range.h"
#include "tests/sim/run.h"

namespace {

int usage() {
  std::fputs("usage: leto-sim --seed N [--trace] [--verify] [--without 3,7-12] [SHRINKING]\n"
             "       leto-sim --first N --seeds N [--jobs N] [--verify] [SHRINKING] [--shrink-seeds N]\n"
             "SHRINKING: which faults a failed seed needs; [--shrink-runs N (0: not at all)] [--shrink-seconds N]\n", stderr);
  return 2;
}

void on_abort(int) {
  std::signal(SIGABRT, SIG_DFL);
  leto::sim::print_last_events();
  if (leto::sim::damage_went_unnoticed()) _exit(leto::sim::kUnnoticedExit);
}

struct Wanted {
  leto::sim::RangeOptions range;
  leto::sim::RunOptions run;
  uint64_t shrink_runs = leto::sim::ShrinkLimits().runs_max, shrink_seconds = 30;
  bool one = false;
  bool shrink_asked = false;
};

uint64_t* number_of(std::string_view word, Wanted& wanted) {
  const std::pair<std::string_view, uint64_t*> known[] = {
      {"--seed", &wanted.run.seed},         {"--seeds", &wanted.range.seeds},      {"--first", &wanted.range.first},
      {"--jobs", &wanted.range.jobs},       {"--shrink-runs", &wanted.shrink_runs}, {"--shrink-seconds", &wanted.shrink_seconds},
      {"--shrink-seeds", &wanted.range.shrink_seeds},
  };
  for (const auto& [name, value] : known) {
    if (name == word) return value;
  }
  return nullptr;
}

// Takes an option that has a value. False if it is none, or the value is not understood.
bool take_value(std::string_view word, const char* value, Wanted& wanted) {
  wanted.one = wanted.one || word == "--seed";
  wanted.shrink_asked = wanted.shrink_asked || word == "--shrink-runs";
  if (word == "--without") return leto::sim::parse_numbers(value, wanted.run.without);
  // For trying out what is done about failures; see run.h.
  if (word == "--plant" || word == "--plant-assert") {
    wanted.run.planted_asserts = word == "--plant-assert";
    return leto::sim::parse_numbers(value, wanted.run.planted);
  }
  uint64_t* number = number_of(word, wanted);
  return number != nullptr && std::sscanf(value, "%lu", number) == 1;
}

// False if the command line cannot be understood.
bool parse(int count, char** words, Wanted& wanted) {
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    if (word == "--trace") {
      wanted.run.prints = true;
    } else if (word == "--verify") {
      wanted.range.verify = true;
    } else if (++i == count || !take_value(word, words[i], wanted)) {
      return false;
    }
  }
  wanted.range.shrink = {.runs_max = wanted.shrink_runs, .seconds_max = static_cast<double>(wanted.shrink_seconds)};
  const bool some = wanted.one || wanted.range.seeds > 0;
  return wanted.range.jobs > 0 && some && (wanted.one || (wanted.run.without.empty() && wanted.run.planted.empty()));
}

}  // namespace

int main(int count, char** words) {
  Wanted wanted;
  const unsigned cores = std::thread::hardware_concurrency();
  wanted.range.jobs = cores == 0 ? 1 : cores;
  if (!parse(count, words, wanted)) return usage();
  std::signal(SIGABRT, on_abort);
  const bool shrinks = wanted.run.without.empty() || wanted.shrink_asked;
  if (wanted.one) {
    return leto::sim::run_one({.run = wanted.run, .verify = wanted.range.verify,
                               .shrink = shrinks ? wanted.range.shrink : leto::sim::ShrinkLimits{.runs_max = 0}});
  }
  return leto::sim::run_range(wanted.range);
}
