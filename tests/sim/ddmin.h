// Delta debugging: of many things that together have an effect, few that have it too (Zeller and Hildebrandt, "Simplifying and
// Isolating Failure-Inducing Input", 2002). First halves and quarters are tried alone, then to do without ever shorter runs, the
// last ones first: a run of a simulation goes as before up to the first thing that is missing. Refuses to know what they are
// and what an effect is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace leto::sim {

// Whether these have the effect.
using HasEffect = std::function<bool(const std::vector<uint64_t>&)>;

struct Reduction {
  std::vector<uint64_t> kept;   // In the order in which they were given.
  uint64_t tries = 0;
  bool minimal = false;         // Without any single one of `kept` the effect was tried and was not there.
};

// `all` is believed to have the effect. What is kept is `all`, or was tried and had it; no set is tried twice. Ends when no
// single one can go, when `may_go_on` says no (asked before each try), and in any case after fewer than
// 2 (n + 2)^2 tries for n things, whatever the effect depends on: also if it comes and goes.
Reduction reduce(std::vector<uint64_t> all, const HasEffect& has_effect, const std::function<bool()>& may_go_on);

}  // namespace leto::sim
