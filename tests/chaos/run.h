// One cluster of real processes from its founding to the judgement of all that its clients were told. Refuses to know how
// many runs there are.
#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/chaos/loop.h"
#include "tests/chaos/schedule.h"
#include "tests/sim/workload.h"

namespace leto::chaos {

enum class WayOfCutting : uint8_t { kNamespaces, kProxies };

struct RunSetup {
  Loop& loop;
  uint64_t seed = 1;
  size_t nodes = 3;
  Milliseconds length = 0;            // Of the faults.
  WayOfCutting way = WayOfCutting::kProxies;
  std::string program;
  std::filesystem::path directory;    // There, and empty.
  bool small_disk = false;            // The last node's directory gets a small file system of its own, which needs root.
  bool prints = false;
  std::vector<FaultKind> wanted = {};  // It goes on behind its schedule, up to as long again, until each of these was done.
};

struct RunResult {
  std::string violation;              // Empty: all is well.
  std::string description;
  std::array<uint64_t, kFaultKinds> faults = {};
  bool had_small_disk = false;
  uint64_t rounds = 0;
  sim::Tally tally;
  uint64_t keys = 0;
  uint64_t terms = 0;                 // In which somebody led.
  Milliseconds led_after = 0;         // Once all nodes were up again.
};

RunResult run_cluster(const RunSetup& setup);

}  // namespace leto::chaos
