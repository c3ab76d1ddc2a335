// leto-sim: whole clusters in virtual time.
//
//   leto-sim --seed 7 [--trace] [--verify]              one seed; its hash is the last line
//   leto-sim --first 1 --seeds 1000 [--jobs 2] [--verify]   a range, and a summary
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdint>
#include <string_view>
#include <thread>

#include "tests/sim/range.h"
#include "tests/sim/run.h"

namespace {

int usage() {
  std::fputs("usage: leto-sim --seed N [--trace] [--verify]\n"
             "       leto-sim --first N --seeds N [--jobs N] [--verify]\n", stderr);
  return 2;
}

void on_abort(int) {
  std::signal(SIGABRT, SIG_DFL);
  leto::sim::print_last_events();
  if (leto::sim::damage_went_unnoticed()) _exit(leto::sim::kUnnoticedExit);
}

struct Wanted {
  leto::sim::RangeOptions range;
  uint64_t seed = 0;
  bool one = false;
  bool trace = false;
};

// False if the command line cannot be understood.
bool parse(int count, char** words, Wanted& wanted) {
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    if (word == "--trace") {
      wanted.trace = true;
    } else if (word == "--verify") {
      wanted.range.verify = true;
    } else {
      uint64_t* value = word == "--seed" ? &wanted.seed : word == "--seeds" ? &wanted.range.seeds
                      : word == "--first" ? &wanted.range.first : word == "--jobs" ? &wanted.range.jobs : nullptr;
      if (value == nullptr || ++i == count || std::sscanf(words[i], "%lu", value) != 1) return false;
      wanted.one = wanted.one || word == "--seed";
    }
  }
  return wanted.range.jobs > 0;
}

}  // namespace

int main(int count, char** words) {
  Wanted wanted;
  const unsigned cores = std::thread::hardware_concurrency();
  wanted.range.jobs = cores == 0 ? 1 : cores;
  if (!parse(count, words, wanted)) return usage();
  std::signal(SIGABRT, on_abort);
  if (wanted.one) return leto::sim::run_one(wanted.seed, wanted.trace, wanted.range.verify);
  return leto::sim::run_range(wanted.range);
}
