// How the process keeps freed memory, and fetches more. Refuses to know what it is used for.
#pragma once

#include <cstddef>
#include <cstdint>

namespace leto::base {

// Freed memory is kept for what comes next. To give it back to the system takes some milliseconds where much of it is
// free at once, and so does fetching it again, page by page, for the next large value. Blocks larger than 32 MiB still
// come from the system one by one, and go back to it. All threads share one arena: what a thread's own arena holds goes
// back in pieces of 64 MiB, by whichever thread frees the last of it. Small pieces merge as they are freed: else the
// next larger one that is wanted merges them all, which took 20 ms after a keyspace was replaced. Does nothing where the
// C library has no such setting. Call before any thread is started.
void keep_freed_memory();

// Memory at the end of the heap that the process has before it needs it. The first touch of a page that it has not is a fault:
// on some virtual machines 10 us, 3 ms for a value of 1 MiB. Fetched many at once it is cheaper, and a thread that nobody waits
// for can do it. Does nothing where the C library's heap is not the one that grows by brk(), as under a sanitizer, or where the
// system cannot fetch pages so (Linux before 5.14).
// Invariant: all pages of the heap below what was fetched last are there.
class HeapRoom {
 public:
  // REQUIRES: fewer bytes than come from the system one by one; see keep_freed_memory().
  explicit HeapRoom(size_t bytes);
  // Sees to it that the heap has so many bytes in one piece. At most some hundred nanoseconds, if it does not have to grow, and as
  // many for each small piece freed since, up to 10000 of them: the C library sorts these when a large one is wanted. True
  // if pages wait to be fetched. REQUIRES: no fetch() is under way.
  bool grow();
  // By any thread. Of no effect but that what grow() added can be touched without a fault.
  void fetch();
  // False: grow() never finds anything to fetch.
  bool works() const { return works_; }

 private:
  const size_t bytes_;
  uintptr_t end_ = 0;       // Of the heap, when it was last looked at.
  uintptr_t fetched_ = 0;   // So far. Below `end_` while pages wait.
  bool works_ = false;
};

}  // namespace leto::base
