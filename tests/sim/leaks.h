// Memory that nobody can reach any more, found while the process goes on: the processes of seeds end by _exit(), where the
// address sanitizer's own look at the end does not come.
#pragma once

namespace leto::sim {

// Looks through all memory of the process; the sanitizer's report, with where each piece came from, goes to stderr. Takes some
// ten milliseconds. Without the address sanitizer, or where it is told to look for no leaks: false.
bool has_leaked();

}  // namespace leto::sim
