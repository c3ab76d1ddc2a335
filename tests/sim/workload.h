// What the clients ask for, and what they were told: keys, values that are never used twice, and the history
// that the checker judges. Refuses to know connections.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/checker/history.h"
#include "tests/sim/connection.h"
#include "tests/sim/world.h"

namespace leto::sim {

struct Tally {
  uint64_t asked = 0;
  uint64_t answered = 0;    // By what was asked for.
  uint64_t refused = 0;     // Definitely not done.
  uint64_t unknown = 0;
};

class Pairs;

class Workload {
 public:
  explicit Workload(World& world);
  ~Workload();

  using Number = checker::History::Number;
  struct Asked {
    Number number = 0;
    Request request;
  };
  struct Who {
    uint64_t client = 0;
    uint64_t lane = 0;      // As in checker::Operation.
    uint32_t place = 0;
  };
  // A request, drawn; it counts as sent now.
  Asked draw(const Who& who, bool reads_only);
  Asked ask(checker::Operation operation);
  // One of those in use.
  const std::string& any_key(base::Random& random) const { return slots_[random.below(slots_.size())].key; }
  void answered(Number number, const checker::Answer& answer);
  // The connection was lost, or never came about.
  void lost(Number number, bool was_sent);
  // A transaction said that it did nothing, as something else had changed what it watched.
  void undone(Number number);
  Pairs& pairs() { return *pairs_; }

  const checker::History& history() const { return history_; }
  const Tally& tally() const { return tally_; }
  bool is_write(Number number) const { return checker::is_write(history_.operations()[number].action); }
  uint64_t next_lane() { return ++lanes_; }
  // Every key that was ever used.
  const std::set<std::string>& keys() const { return all_keys_; }
  // From now on an error is a violation.
  void forbid_errors() { errors_forbidden_ = true; }
  bool errors_forbidden() const { return errors_forbidden_; }

 private:
  struct Slot {
    std::string key;
    bool counter = false;
    uint64_t uses = 0;
    uint64_t unknown = 0;
    uint64_t open = 0;      // Writes that were not answered yet: all may come to be of unknown outcome.
  };
  // Further operations of a request on several keys; each is answered by its first one's number.
  struct Group {
    std::vector<Number> others;
    uint64_t times = 1;     // So often it names each key.
  };
  Slot& draw_slot();
  void renew(size_t slot);
  std::string huge_value(const std::string& key, std::string value, bool& too_large);
  std::string draw_value(const Slot& slot, bool& too_large);
  Asked ask_again(const Who& who);
  Asked ask_for_several(const checker::Operation& first);
  Asked flush(const Who& who);
  void answered_alone(Number number, const checker::Answer& answer);
  void answered_together(Number number, const Group& group, const checker::Answer& answer);
  void note_unknown(Number number);
  void refused_as_too_large(Number number, const checker::Answer& answer);
  void lost_alone(Number number, bool was_sent);
  void end(Number number, checker::Outcome outcome, const checker::Answer& answer);
  checker::Action draw_action(const Slot& slot, bool reads_only);

  World& world_;
  base::Random random_;
  checker::History history_;
  Tally tally_;
  std::vector<Slot> slots_;
  std::set<std::string> all_keys_;
  std::map<Number, Group> groups_;
  std::set<Number> too_large_;                       // They must never happen.
  std::deque<checker::Operation> again_;             // Ended as UNKNOWN, and are asked for again.
  std::unique_ptr<Pairs> pairs_;   // See talk.h.
  uint64_t values_ = 0;
  uint64_t generations_ = 0;
  uint64_t lanes_ = 0;
  bool errors_forbidden_ = false;
};

// Whether an error says that the request was not carried out; else it is an answer like any other.
bool is_refusal(const std::string& error);
// The address at which a refusal says to ask instead (MOVED); empty: it names none.
std::string redirected_to(const std::string& error);

}  // namespace leto::sim
