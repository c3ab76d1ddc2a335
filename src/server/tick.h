// The unit of Raft's time in this server, and how many are due. Refuses to know clocks.
#pragma once

#include <cstdint>

namespace leto::server {

inline constexpr uint64_t kTickMs = 10;

// Behind its start a voter helps nobody to lead for so long, or for an election timeout, if that is longer (D18). As long as the
// default election-timeout: no node starts more slowly for it than by default.
inline constexpr uint64_t kSilenceMsMax = 400;

// Counts the ticks of a clock that is looked at now and then. Who looks late is given raft::kTicksOwedMax at most: the rest is
// forgotten, so that a core only ever runs slow.
class Ticks {
 public:
  static constexpr uint64_t kTickUs = kTickMs * 1000;

  // Time counts from here on.
  void begin(uint64_t now_us) { counted_us_ = now_us; }
  // How many have passed since they were counted last, and are counted now. REQUIRES: time does not go back.
  uint64_t count(uint64_t now_us);
  // Of so many that have passed, how many there are to be.
  static uint64_t due(uint64_t passed);

 private:
  uint64_t counted_us_ = 0;
};

}  // namespace leto::server
