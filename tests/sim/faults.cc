#include "tests/sim/faults.h"

#include "base/assert.h"
#include "base/format.h"
#include "base/hash.h"

namespace leto::sim {

namespace {

using Number = unsigned long long;

constexpr uint64_t kStream = 0x6661756c7473;

}  // namespace

std::string readable(const FaultLine& line) {
  const std::string who = line.machine == 0 ? "  " : base::format("n%zu", line.machine);
  return base::format("%4llu  at %3llu.%06llu %s %s", Number{line.fault}, Number{line.time / kSecond},
                      Number{line.time % kSecond}, who.c_str(), line.text.c_str());
}

Fault& Faults::add(Reached name, Microseconds at, Fault::Injection inject) {
  LETO_ASSERT(!begun_, "all faults are decided before the first one comes to pass");
  const uint64_t number = all_.size() + 1;
  all_.push_back({.number = number, .name = name, .at = at, .inject = std::move(inject),
                  .random = base::Random(base::mix64(base::mix64(seed_ ^ kStream) + number)),
                  .left_out = without_.contains(number)});
  return all_.back();
}

void Faults::begin() {
  begun_ = true;
  begun_at_ = scheduler_.now();
  for (Fault& each : all_) {
    if (each.inject) scheduler_.after(each.at, [this, &each] { come_to_pass(each); });
  }
}

void Faults::come_to_pass(Fault& fault) {
  if (over_) return;
  if (fault.left_out) {
    trace_.text(0, base::format("fault %llu is left out: %s", Number{fault.number}, reached_name(fault.name)));
    return;
  }
  fault.inject(fault);
  if (fault.lines == 0) tell(fault, 0, std::string(reached_name(fault.name)) + ": nothing comes of it at once");
}

void Faults::tell(Fault& fault, size_t machine, const std::string& text) {
  ++fault.lines;
  trace_.text(machine, base::format("FAULT %llu ", Number{fault.number}) + text);
  told_({.fault = fault.number, .time = scheduler_.now(), .machine = machine, .text = text});
}

}  // namespace leto::sim
