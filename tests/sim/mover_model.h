// What a Mover's databases may hold, by what it was told: all states that its answers allow. A write of unknown outcome may have
// happened, or may happen at any time later, but not behind a later one of its connection that was answered. Pure.
//
// Invariant: unless undecided(), the true state is among those that are kept, if the nodes do what the commands say.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/connection.h"

namespace leto::sim {

class MoverModel {
 public:
  static constexpr uint32_t kDatabases = 4;   // 0 is not the Mover's.
  static constexpr uint32_t kKeys = 8;        // "m0" to "m7" in each.

  // What is sent from now on is of another connection.
  void begin_connection() { lanes_.emplace_back(); }
  // A request that was carried out in `database`, and its answer. False: no state allows it. REQUIRES: it is known to applies().
  [[nodiscard]] bool answered(uint32_t database, const Request& request, const checker::Answer& answer);
  // A request that may have been carried out, or may be later.
  void unknown(uint32_t database, const Request& request);
  // From here on everything is as a GET of each key says: "" is no value, by database and key.
  void anchor(const std::vector<std::string>& values);
  // There were too many states: nothing is known before the next anchor().
  bool undecided() const { return undecided_; }

 private:
  using Values = std::array<uint32_t, kDatabases * kKeys>;   // By number; 0: none.
  struct Possible {
    Values values = {};
    std::vector<uint32_t> passed = {};   // Of each lane: so many are past, done or not.
    auto operator<=>(const Possible&) const = default;
  };
  struct Pending {
    uint32_t database = 0;
    Request request;
  };

  // Whatever may have happened by now.
  std::set<Possible> closure() const;
  checker::Answer apply(Values& values, uint32_t database, const Request& request) const;
  checker::Answer rename(Values& values, uint32_t database, const Request& request) const;
  uint32_t number_of(const std::string& value);
  void give_up();

  std::map<std::string, uint32_t> numbers_;
  std::vector<std::string> texts_ = {""};      // By number.
  std::vector<std::vector<Pending>> lanes_ = {{}};   // Of each connection: its writes of unknown outcome.
  std::set<Possible> possible_ = {Possible{}};
  bool undecided_ = false;
};

}  // namespace leto::sim
