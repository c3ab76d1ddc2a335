// Judges reads that ask one node for what it has, however old: what is seen existed, and one connection never sees
// it go back. Refuses to judge anything else: see linearizability.h.
#pragma once

#include <string>
#include <vector>

#include "tests/checker/history.h"

namespace leto::checker {

// `operations` of one key: its writes, and the local reads in the order in which they were sent. Values that SET
// wrote are to be unique; what INCR made of them is taken as it comes. Empty if all is well, else what is not.
std::string judge_local_reads(const std::vector<Operation>& operations);

}  // namespace leto::checker
