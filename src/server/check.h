// `leto --check DIR`: examines a data directory and says what is wrong with it. Changes nothing in it; knows nothing of
// options and of running nodes but that one must not be using the directory.
#pragma once

#include <string>

namespace leto::server {

// Writes the report to standard output; what keeps it from looking, to standard error. Gives the exit status: 0 sound,
// 1 damaged, or not examined.
int check(const std::string& directory);

}  // namespace leto::server
