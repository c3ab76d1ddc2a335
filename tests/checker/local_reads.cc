#include "tests/checker/local_reads.h"

#include <map>
#include <set>

namespace leto::checker {

namespace {

// What one connection has seen of the key.
struct Seen {
  const Operation* last = nullptr;         // The SET whose value it saw last; null: none, or nil since.
  std::set<const Operation*> left_behind;  // Whose values it saw before that.
};

class Judge {
 public:
  explicit Judge(const std::vector<Operation>& operations) : operations_(operations) {
    for (const Operation& each : operations) {
      if (each.local || each.outcome == Outcome::kFailed) continue;
      if (each.action == Action::kSet && !sets_.try_emplace(each.argument, &each).second) doubled_.insert(each.argument);
      counts_ = counts_ || each.action == Action::kIncr;
      if (each.action == Action::kDel || each.action == Action::kFlush) deletions_.push_back(&each);
    }
  }

  std::string judge() {
    for (const Operation& each : operations_) {
      if (!each.local || each.outcome != Outcome::kOk) continue;
      if (const std::string wrong = look_at(each); !wrong.empty()) return wrong + ": " + readable(each);
    }
    return {};
  }

 private:
  std::string look_at(const Operation& read) {
    Seen& seen = seen_[read.connection];
    if (read.answer.kind == Answer::Kind::kNil) return look_at_nothing(seen, read);
    const auto found = sets_.find(read.answer.text);
    if (found == sets_.end()) return counts_ ? "" : "nobody wrote what it saw";
    const Operation* set = found->second;
    if (set->invoked > read.returned) return "it saw what was written later";
    if (set == seen.last) return {};
    if (doubled_.contains(set->argument)) {   // It may come back.
      if (seen.last != nullptr) seen.left_behind.insert(seen.last);
      seen.last = set;
      return {};
    }
    if (seen.left_behind.contains(set)) return "it saw again what it had seen replaced";
    const bool older = seen.last != nullptr && set->outcome == Outcome::kOk && set->returned < seen.last->invoked;
    if (older) return "it went back to an older value";
    if (seen.last != nullptr) seen.left_behind.insert(seen.last);
    seen.last = set;
    return {};
  }

  // The key was not there at first, and is not after a deletion.
  std::string look_at_nothing(Seen& seen, const Operation& read) {
    if (seen.last == nullptr) return {};
    for (const Operation* deletion : deletions_) {
      const bool before_it = deletion->outcome == Outcome::kOk && deletion->returned < seen.last->invoked;
      if (deletion->invoked >= read.returned || before_it) continue;
      seen.left_behind.insert(seen.last);
      seen.last = nullptr;
      return {};
    }
    return "nobody removed what it had seen";
  }

  const std::vector<Operation>& operations_;
  std::map<std::string, const Operation*> sets_;   // By value; of those that wrote the same, the first one.
  std::set<std::string> doubled_;                  // Values that were written again, as nobody knew whether they had been.
  std::vector<const Operation*> deletions_;
  std::map<uint64_t, Seen> seen_;                  // By connection.
  bool counts_ = false;
};

}  // namespace

std::string judge_local_reads(const std::vector<Operation>& operations) { return Judge(operations).judge(); }

}  // namespace leto::checker
