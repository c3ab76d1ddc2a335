// Everything that one seed decides before the run begins. Refuses to know how it is used.
#pragma once

#include <cstddef>
#include <cstdint>

#include "server/options.h"
#include "tests/sim/scheduler.h"

namespace leto::sim {

struct NetworkParameters {
  Microseconds delay_low = 0, delay_high = 0;   // Of a message, one way.
  // Chances in 10000 per message.
  uint64_t drop = 0, duplicate = 0, reorder = 0, late = 0;
  Microseconds late_high = 0;                   // What a late message is late by, at most.
  // Chances in 10000 per frame: of one bit, of a length beyond the bound, of a connection that ends within it.
  uint64_t flip = 0, oversize = 0, cut_in_frame = 0;
  Microseconds part_high = 1;                   // Between the parts of a large message.
};

struct DiskParameters {
  Microseconds commit_low = 0, commit_high = 0;
  uint64_t hiccup = 0;                          // In 10000: a commit of 5 to 60 ms.
  bool writes_now = false;                      // One voter may write on the loop.
  uint64_t segment_entries_max = 0;
  size_t checkpoint_frames = 0;
};

struct ClientParameters {
  size_t count = 0;
  size_t keys = 0;
  Microseconds think_high = 0;                  // Between an answer and the next request.
  size_t pipeline_high = 1;
  uint64_t follower_reads = 0;                  // In 100.
  uint64_t writes = 50;                         // In 100.
  bool local_reader = false;                    // One more, that reads what one node has (READONLY).
  bool mover = false;                           // One more, that renames, exchanges and flushes in other databases.
  bool watcher = false;                         // The first client only reads, so that nothing ever stops it.
  uint64_t transactions = 0;                    // In 100; see talk.h.
  uint64_t large = 1;                           // In 100: values of up to large_high bytes.
  uint64_t large_high = 20000;
  uint64_t huge = 0;                            // In 10000: values of up to the largest entry, and beyond.
  uint64_t retries = 0;                         // In 10000: what ended as UNKNOWN is asked for again.
};

// Of a loop that has nothing else to do.
inline constexpr Microseconds kIdleTurnHigh = 30;

struct Parameters {
  uint64_t seed = 0;
  size_t machines = 0;
  bool faultless = false;          // No fault at all, and so no error at all.
  bool upgrade = false;            // Each machine is upgraded to semantics level 2 at some time.
  bool founded_by_join = false;    // One founder takes the others in; else all begin as members.
  bool timeouts_differ = false;    // Each process has another election-timeout; that of `options` is the longest.
  server::Options options;
  NetworkParameters network;
  DiskParameters disk;
  ClientParameters clients;
  uint64_t uncommitted_bytes_max = 0;   // 0: as in the real server.
  Microseconds turn_high = kIdleTurnHigh;   // From an input to the turn that takes it, with all that came in meanwhile.
  Microseconds chaos = 0;          // How long the faults go on.
  Microseconds between_faults = 0; // On average.
  bool damaged = false;            // Faults outside the model, too; see damage.h.
  uint64_t damage_turn = 0;        // With which of their kinds they begin.
  // Of the clocks, in permille. Under a lease no further apart than the lease allows for.
  uint64_t rate_low = 500, rate_high = 2000;
};

Parameters make_parameters(uint64_t seed);

}  // namespace leto::sim
