// The last reads of a run: every key that was ever used, at one node. Refuses to judge what they give.
#pragma once

#include <string>

#include "tests/chaos/connection.h"
#include "tests/sim/workload.h"

namespace leto::chaos {

// Their answers go into the workload's history, as those of client number `client`. Empty if every key was answered, else what was
// not. What is refused is asked again for a while. REQUIRES: as Loop::run_until().
std::string read_all(Loop& loop, const Address& address, sim::Workload& workload, uint64_t client);

}  // namespace leto::chaos
