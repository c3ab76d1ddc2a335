// How the process keeps freed memory. Refuses to know what it is used for.
#pragma once

namespace leto::base {

// Freed memory is kept for what comes next. To give it back to the system takes some milliseconds where much of it is
// free at once, and so does fetching it again, page by page, for the next large value. Blocks larger than 32 MiB still
// come from the system one by one, and go back to it. All threads share one arena: what a thread's own arena holds goes
// back in pieces of 64 MiB, by whichever thread frees the last of it. Small pieces merge as they are freed: else the
// next larger one that is wanted merges them all, which took 20 ms after a keyspace was replaced. Does nothing where the
// C library has no such setting. Call before any thread is started.
void keep_freed_memory();

}  // namespace leto::base
