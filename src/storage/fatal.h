// What happens when the disk breaks under a promise (D15): the process ends there and then, in the thread
// that saw it, with one sentence on stderr. Knows nothing of databases.
#pragma once

#include <functional>
#include <string>

namespace leto::storage {

inline constexpr int kFatalExitStatus = 70;  // sysexits.h: EX_SOFTWARE.

using FatalHandler = std::function<void(const std::string& text)>;

// Replaces what a failed write or fsync does; by default it prints `text` and ends the process without
// running destructors. For tests and the simulator, set before any store is opened: theirs throws, or returns.
// After it returned the store is dead: write() answers kFull and everything else an error, and the disk is
// not touched again. An empty handler restores the default.
void set_fatal_handler(FatalHandler handler);

// What the default does: one line on stderr, then the end, without running destructors.
[[noreturn]] void end_process(const std::string& text, int status);

// In the thread that saw it: by the stores (sqlite.h), while they are opened and later.
void fatal(const std::string& text);

}  // namespace leto::storage
