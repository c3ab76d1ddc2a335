// The faults of one run, numbered. They are drawn before the run begins: which there are, and when, is a function of the seed
// alone. Each has a generator of its own for all that is drawn when it comes to pass. So any of them can be left out, and the
// others are what they were. Refuses to know what a fault does.
//
// Invariant: a fault that is left out is decided, scheduled and numbered as if it were not, and then does nothing.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <utility>

#include "base/random.h"
#include "tests/sim/coverage.h"
#include "tests/sim/number_set.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/trace.h"

namespace leto::sim {

struct Fault {
  using Injection = std::function<void(Fault&)>;

  uint64_t number = 0;        // From 1, in the order in which they were decided.
  Reached name;
  Microseconds at = 0;        // When it is due, counted from begin(). Without an injection: when its owner finds, not before.
  Injection inject;           // Empty: its owner brings it about.
  base::Random random;
  bool left_out = false;
  uint64_t lines = 0;         // So often something was told of it.
};

// What came of a fault at one moment. A fault may have several.
struct FaultLine {
  uint64_t fault = 0;
  Microseconds time = 0;
  size_t machine = 0;         // 0: none.
  std::string text;
};

std::string readable(const FaultLine& line);

class Faults {
 public:
  using Told = std::function<void(const FaultLine&)>;

  // Each line goes into the trace, and to `told`.
  Faults(uint64_t seed, Scheduler& scheduler, Trace& trace) : seed_(seed), scheduler_(scheduler), trace_(trace) {}
  void leave_out(const NumberSet& numbers) { without_ = numbers; }
  void set_told(Told told) { told_ = std::move(told); }

  // Decides on the next one; the reference stays valid. REQUIRES: begin() was not called.
  Fault& add(Reached name, Microseconds at, Fault::Injection inject);
  // From now on those that have an injection come to pass when they are due, until end().
  void begin();
  void end() { over_ = true; }
  Microseconds begun_at() const { return begun_at_; }
  uint64_t count() const { return all_.size(); }
  void tell(Fault& fault, size_t machine, const std::string& text);

 private:
  void come_to_pass(Fault& fault);

  const uint64_t seed_;
  Scheduler& scheduler_;
  Trace& trace_;
  NumberSet without_;
  Told told_ = [](const FaultLine&) {};
  std::deque<Fault> all_;
  Microseconds begun_at_ = 0;
  bool begun_ = false;
  bool over_ = false;
};

}  // namespace leto::sim
