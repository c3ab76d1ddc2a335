#include "tests/checker/linearizability.h"

#include <algorithm>
#include <map>
#include <unordered_set>
#include <utility>

#include "base/hash.h"
#include "tests/checker/model.h"

namespace leto::checker {

namespace {

constexpr size_t kNone = SIZE_MAX;
constexpr uint64_t kSeedLow = 0x6c65746f, kSeedHigh = 0x63686b72;

// One call or return in the list of those that are not dealt with yet.
struct Item {
  size_t operation = 0;
  bool is_return = false;
  size_t previous = kNone, next = kNone;
};

// What was tried already: 128 bits of hash of the set of operations that happened and of the state.
struct Seen {
  uint64_t low = 0, high = 0;
  bool operator==(const Seen&) const = default;
};
struct SeenHash {
  size_t operator()(const Seen& seen) const { return seen.low; }
};

class Search {
 public:
  Search(std::vector<Operation> operations, uint64_t steps_max);
  Judgement run();

 private:
  struct Done {
    size_t operation = 0;
    KeyState before;
    bool chosen = false;   // Else it was the only thing to do.
  };
  bool required(size_t operation) const { return operations_[operation].outcome == Outcome::kOk; }
  void make_list();
  void make_lanes();
  bool lane_allows(size_t operation) const;
  bool is_pointless(size_t operation, const KeyState& after) const;
  bool try_next(size_t operation);
  void take_reads();
  bool may_be_taken(size_t operation) const;
  void happen(size_t operation, KeyState after, bool chosen);
  bool step_back();
  void take_out(size_t operation);
  void put_back(size_t operation);
  void unlink(size_t item);
  void relink(size_t item);
  void toggle(size_t operation);
  void note_stuck(size_t operation);

  std::vector<Operation> operations_;
  const uint64_t steps_max_;
  std::vector<Item> items_;                    // items_[0] is the head.
  std::vector<size_t> call_of_, return_of_;    // Items, by operation.
  std::map<uint64_t, std::vector<size_t>> lanes_;
  std::vector<bool> happened_;
  size_t required_left_ = 0;
  KeyState state_;
  Seen set_hash_;
  std::unordered_set<Seen, SeenHash> seen_;
  std::vector<Done> order_;
  size_t at_ = kNone;
  size_t longest_ = 0;
  Judgement judgement_;
};

// Left out: what failed, and reads of which nobody knows what they answered.
bool matters(const Operation& operation) {
  if (operation.outcome == Outcome::kUnknown) return is_write(operation.action);
  return operation.outcome == Outcome::kOk;
}

Search::Search(std::vector<Operation> operations, uint64_t steps_max) : steps_max_(steps_max) {
  std::copy_if(operations.begin(), operations.end(), std::back_inserter(operations_), matters);
  std::sort(operations_.begin(), operations_.end(),
            [](const Operation& a, const Operation& b) { return a.invoked < b.invoked; });
  happened_.resize(operations_.size());
  make_list();
  make_lanes();
}

void Search::make_list() {
  struct Moment {
    uint64_t order;
    size_t operation;
    bool is_return;
  };
  std::vector<Moment> moments;
  for (size_t i = 0; i < operations_.size(); ++i) {
    moments.push_back({operations_[i].invoked, i, false});
    if (!required(i)) continue;
    moments.push_back({operations_[i].returned, i, true});
    ++required_left_;
  }
  std::sort(moments.begin(), moments.end(), [](const Moment& a, const Moment& b) { return a.order < b.order; });
  call_of_.assign(operations_.size(), kNone);
  return_of_.assign(operations_.size(), kNone);
  items_.push_back({});
  for (const Moment& moment : moments) {
    const size_t item = items_.size();
    items_.back().next = item;
    items_.push_back({.operation = moment.operation, .is_return = moment.is_return, .previous = item - 1});
    (moment.is_return ? return_of_ : call_of_)[moment.operation] = item;
  }
}

void Search::make_lanes() {
  for (size_t i = 0; i < operations_.size(); ++i) {
    if (operations_[i].lane != 0) lanes_[operations_[i].lane].push_back(i);
  }
}

// Everything before it in its lane that is known to have happened must have; nothing behind it may have.
bool Search::lane_allows(size_t operation) const {
  const Operation& mine = operations_[operation];
  if (mine.lane == 0) return true;
  for (const size_t other : lanes_.at(mine.lane)) {
    const bool before = operations_[other].place < mine.place;
    if (before && required(other) && !happened_[other]) return false;
    if (!before && other != operation && happened_[other]) return false;
  }
  return true;
}

void Search::unlink(size_t item) {
  const Item& gone = items_[item];
  items_[gone.previous].next = gone.next;
  if (gone.next != kNone) items_[gone.next].previous = gone.previous;
}

void Search::relink(size_t item) {
  const Item& back = items_[item];
  items_[back.previous].next = item;
  if (back.next != kNone) items_[back.next].previous = item;
}

void Search::take_out(size_t operation) {
  unlink(call_of_[operation]);
  if (return_of_[operation] != kNone) unlink(return_of_[operation]);
}

void Search::put_back(size_t operation) {
  if (return_of_[operation] != kNone) relink(return_of_[operation]);
  relink(call_of_[operation]);
}

void Search::toggle(size_t operation) {
  happened_[operation] = !happened_[operation];
  set_hash_.low ^= base::mix64(operation * 2 + 1);
  set_hash_.high ^= base::mix64(~(operation * 2 + 1));
}

// Orders that need not be tried, because another one, without an operation whose outcome is unknown, is as
// good: it changes nothing, or is overwritten before anybody could see it.
bool Search::is_pointless(size_t operation, const KeyState& after) const {
  const bool last_is_unknown = !order_.empty() && !required(order_.back().operation);
  if (last_is_unknown && operations_[operation].action == Action::kSet) return true;
  return !required(operation) && after == state_;
}

// True if the operation may happen now and leads to where the search has not been.
bool Search::try_next(size_t operation) {
  if (!lane_allows(operation)) return false;
  KeyState after = state_;
  const Answer answer = checker::run(operations_[operation], after);
  if (required(operation) && !fits(answer, operations_[operation].answer)) return false;
  if (is_pointless(operation, after)) return false;
  toggle(operation);
  // What may follow depends on whether the last one had to happen.
  const std::string bytes = (required(operation) ? "!" : "?") + (after ? "+" + *after : std::string("-"));
  const Seen reached{.low = set_hash_.low ^ base::hash64(bytes, kSeedLow),
                     .high = set_hash_.high ^ base::hash64(bytes, kSeedHigh)};
  if (!seen_.insert(reached).second) {
    toggle(operation);
    return false;
  }
  happen(operation, std::move(after), true);
  return true;
}

void Search::happen(size_t operation, KeyState after, bool chosen) {
  order_.push_back({.operation = operation, .before = std::exchange(state_, std::move(after)), .chosen = chosen});
  required_left_ -= required(operation);
  take_out(operation);
}

// A read that answers what it should right now loses nothing by happening right now, unless that bars a write
// before it in its lane whose outcome is unknown.
bool Search::may_be_taken(size_t operation) const {
  const Operation& mine = operations_[operation];
  if (is_write(mine.action) || !lane_allows(operation)) return false;
  KeyState same = state_;
  if (!fits(checker::run(mine, same), mine.answer)) return false;
  if (mine.lane == 0) return true;
  for (const size_t other : lanes_.at(mine.lane)) {
    if (operations_[other].place < mine.place && !happened_[other]) return false;
  }
  return true;
}

void Search::take_reads() {
  size_t item = items_[0].next;
  while (item != kNone && !items_[item].is_return) {
    const size_t operation = items_[item].operation;
    item = items_[item].next;
    if (!may_be_taken(operation)) continue;
    toggle(operation);
    happen(operation, state_, false);
    item = items_[0].next;   // What was behind it in its lane may follow.
  }
}

// Undoes the last choice, with what followed from it, and goes on behind it; false if there is none.
bool Search::step_back() {
  while (!order_.empty()) {
    Done last = std::move(order_.back());
    order_.pop_back();
    state_ = std::move(last.before);
    toggle(last.operation);
    required_left_ += required(last.operation);
    put_back(last.operation);
    at_ = items_[call_of_[last.operation]].next;
    if (last.chosen) return true;
  }
  return false;
}

void Search::note_stuck(size_t operation) {
  if (order_.size() < longest_ && !judgement_.stuck_at.empty()) return;
  longest_ = order_.size();
  judgement_.stuck_at = readable(operations_[operation]) + " in state " + (state_ ? "\"" + *state_ + "\"" : "(nil)");
}

Judgement Search::run() {
  take_reads();
  at_ = items_[0].next;
  while (required_left_ > 0) {
    if (++judgement_.steps > steps_max_) return judgement_;
    // Past the end or at a return, something that must have happened has not.
    const bool stuck = at_ == kNone || items_[at_].is_return;
    if (stuck) {
      if (at_ != kNone) note_stuck(items_[at_].operation);
      if (step_back()) continue;
      judgement_.verdict = Verdict::kNotLinearizable;
      return judgement_;
    }
    if (try_next(items_[at_].operation)) {
      take_reads();
      at_ = items_[0].next;
    } else {
      at_ = items_[at_].next;
    }
  }
  judgement_.verdict = Verdict::kLinearizable;
  judgement_.stuck_at.clear();
  return judgement_;
}

}  // namespace

Judgement judge(std::vector<Operation> operations, uint64_t steps_max) {
  return Search(std::move(operations), steps_max).run();
}

}  // namespace leto::checker
