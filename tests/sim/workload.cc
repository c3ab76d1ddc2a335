#include "tests/sim/workload.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/format.h"
#include "base/number.h"
#include "command/entry.h"
#include "peer/limits.h"
#include "tests/sim/talk.h"

namespace leto::sim {

namespace {

using checker::Action;
using checker::Answer;
using checker::Outcome;

constexpr uint64_t kStream = 0x776f726b;
// A key is left behind after so many uses, unknown outcomes, or writes under way at once: the checker's search grows with them.
constexpr uint64_t kUsesMax = 120, kUnknownMax = 5, kOpenMax = 16;
// One write of so many is a FLUSHALL, where no mover (mover.h) counts on its databases.
constexpr uint64_t kFlushEach = 300;

constexpr const char* kUnknownError = "UNKNOWN";

}  // namespace

bool is_refusal(const std::string& error) {
  static const std::array<const char*, 7> words = {"not leader", "CLUSTERDOWN", "LOADING", "MISCONF",
                                                   "OOM",        "MOVED",       "NOAUTH"};
  for (const char* word : words) {
    if (error.starts_with(word)) return true;
  }
  return false;
}

// "MOVED slot host:port".
std::string redirected_to(const std::string& error) {
  return error.starts_with("MOVED ") ? error.substr(error.rfind(' ') + 1) : "";
}

Workload::~Workload() = default;

Workload::Workload(World& world) : world_(world), random_(world.stream(kStream)), pairs_(std::make_unique<Pairs>()) {
  slots_.resize(world.parameters.clients.keys);
  for (size_t i = 0; i < slots_.size(); ++i) renew(i);
}

void Workload::renew(size_t slot) {
  const bool counter = random_.chance(1, 3);
  slots_[slot] = {.key = base::format("k%zu.%llu", slot, static_cast<unsigned long long>(++generations_)), .counter = counter};
}

Action Workload::draw_action(const Slot& slot, bool reads_only) {
  const bool writes = !reads_only && random_.chance(world_.parameters.clients.writes, 100);
  if (!writes) return random_.chance(1, 5) ? Action::kExists : Action::kGet;
  if (random_.chance(1, 8)) return Action::kDel;
  const bool counts = slot.counter ? random_.chance(7, 8) : random_.chance(1, 30);
  return counts ? Action::kIncr : Action::kSet;
}

Workload::Slot& Workload::draw_slot() {
  const size_t chosen = random_.below(slots_.size());
  const Slot& present = slots_[chosen];
  if (present.uses >= kUsesMax || present.unknown >= kUnknownMax || present.open >= kOpenMax) renew(chosen);
  return slots_[chosen];
}

Workload::Asked Workload::draw(const Who& who, bool reads_only) {
  if (!reads_only && !again_.empty() && again_.front().client == who.client) return ask_again(who);
  Slot& slot = draw_slot();
  const Action action = draw_action(slot, reads_only);
  const bool may_flush = checker::is_write(action) && !world_.parameters.clients.mover;
  if (may_flush && random_.chance(1, kFlushEach)) return flush(who);
  ++slot.uses;
  slot.open += checker::is_write(action);
  checker::Operation operation{.action = action, .key = slot.key, .client = who.client, .lane = who.lane, .place = who.place};
  const bool counts = action == Action::kDel || action == Action::kExists;
  if (counts && random_.chance(1, 4)) return ask_for_several(operation);
  bool too_large = false;
  if (action == Action::kSet) operation.argument = draw_value(slot, too_large);
  const Asked asked = ask(std::move(operation));
  if (too_large) too_large_.insert(asked.number);
  return asked;
}

std::string Workload::draw_value(const Slot& slot, bool& too_large) {
  ++values_;
  if (slot.counter) return std::to_string(1000 * values_);
  std::string value = base::format("v%llu", static_cast<unsigned long long>(values_));
  const ClientParameters& usual = world_.parameters.clients;
  if (usual.huge > 0 && random_.chance(usual.huge, 10000)) return huge_value(slot.key, std::move(value), too_large);
  if (random_.chance(usual.large, 100)) value.append(random_.below(usual.large_high), 'x');
  return value;
}

// Of several parts; as large as an entry may be; by one byte too large.
std::string Workload::huge_value(const std::string& key, std::string value, bool& too_large) {
  const size_t largest = world_.parameters.options.max_entry_bytes;
  const uint64_t kind = random_.below(4);
  if (kind == 0) return value.append(random_.between(peer::kPartBytes, largest) - 100, 'x');
  value.resize(largest, 'x');
  const std::vector<std::string_view> arguments = {"SET", key, value};
  value.resize(2 * largest - command::EntryBuilder::encoded_size(arguments));
  too_large = kind == 1;
  if (too_large) value.push_back('x');
  else world_.coverage.note(Reached::kLargestEntry);
  return value;
}

Workload::Asked Workload::ask_again(const Who& who) {
  checker::Operation operation = std::move(again_.front());
  again_.pop_front();
  operation.lane = who.lane;
  operation.place = who.place;
  world_.coverage.note(Reached::kRetriedUnknown);
  for (Slot& slot : slots_) slot.open += slot.key == operation.key;
  return ask(std::move(operation));
}

// A second key, or the same one twice.
Workload::Asked Workload::ask_for_several(const checker::Operation& first) {
  Asked asked = ask(first);
  Group group;
  Slot& other = draw_slot();
  if (other.key != first.key) {
    checker::Operation second = first;
    second.key = other.key;
    ++other.uses;
    other.open += checker::is_write(first.action);
    asked.request.push_back(other.key);
    group.others.push_back(ask(std::move(second)).number);
  } else if (first.action == Action::kExists) {
    asked.request.push_back(first.key);
    group.times = 2;
  } else {
    return asked;
  }
  world_.coverage.note(Reached::kSeveralKeys);
  groups_[asked.number] = std::move(group);
  return asked;
}

Workload::Asked Workload::flush(const Who& who) {
  world_.coverage.note(Reached::kFlushedAll);
  return ask({.action = Action::kFlush, .client = who.client, .lane = who.lane, .place = who.place});
}

Workload::Asked Workload::ask(checker::Operation operation) {
  Asked asked;
  asked.request = {checker::action_name(operation.action)};
  if (operation.action != Action::kFlush) {
    asked.request.push_back(operation.key);
    all_keys_.insert(operation.key);
  }
  if (operation.action == Action::kSet) asked.request.push_back(operation.argument);
  const uint64_t client = operation.client;
  const auto action = static_cast<uint64_t>(operation.action);
  asked.number = history_.begin(std::move(operation));
  ++tally_.asked;
  world_.trace.add({.kind = EventKind::kInvoke, .a = client, .b = asked.number, .c = action});
  return asked;
}

void Workload::end(Number number, Outcome outcome, const Answer& answer) {
  world_.trace.add({.kind = EventKind::kReturn, .a = history_.operations()[number].client, .b = number,
                    .c = static_cast<uint64_t>(outcome)});
  history_.end(number, outcome, answer);
  if (!is_write(number)) return;
  const bool flushes = history_.operations()[number].action == Action::kFlush;
  for (Slot& slot : slots_) {
    slot.unknown += flushes && outcome == Outcome::kUnknown;
    if (slot.key != history_.operations()[number].key) continue;
    --slot.open;
    slot.unknown += outcome == Outcome::kUnknown;
  }
}

void Workload::answered(Number number, const Answer& answer) {
  const auto group = groups_.find(number);
  if (group == groups_.end()) return answered_alone(number, answer);
  const Group found = std::move(group->second);
  groups_.erase(group);
  answered_together(number, found, answer);
}

// Where the sum says so, it is known which keys there were.
void Workload::answered_together(Number number, const Group& group, const Answer& answer) {
  Answer each = answer;
  if (answer.kind == Answer::Kind::kInteger) {
    const uint64_t most = group.times * (group.others.size() + 1);
    const uint64_t sum = static_cast<uint64_t>(base::parse_int64(answer.text).value_or(-1));
    if (sum > most || sum % group.times != 0) {
      return world_.fail("I14", base::format("%llu of %llu keys, says %s", static_cast<unsigned long long>(sum),
                                             static_cast<unsigned long long>(most),
                                             checker::readable(history_.operations()[number]).c_str()));
    }
    each.text = sum == 0 ? "0" : "1";
    if (sum != 0 && sum != most) each = {.kind = Answer::Kind::kSomeInteger};
  }
  for (const Number other : group.others) answered_alone(other, each);
  answered_alone(number, each);
}

void Workload::refused_as_too_large(Number number, const Answer& answer) {
  const bool said_so = answer.kind == Answer::Kind::kError && answer.text.starts_with("ERR the command has");
  if (!said_so && !is_refusal(answer.text)) {
    world_.fail("I14", "what is larger than an entry may be got " + checker::readable(answer));
  }
  if (said_so) world_.coverage.note(Reached::kTooLargeEntry);
  ++(said_so ? tally_.answered : tally_.refused);
  end(number, Outcome::kFailed, {});
}

// A client that must know what became of its write asks for it again; so that for the judge it is another one.
void Workload::note_unknown(Number number) {
  ++tally_.unknown;
  const checker::Operation& operation = history_.operations()[number];
  const bool in_use = std::any_of(slots_.begin(), slots_.end(), [&](const Slot& slot) { return slot.key == operation.key; });
  if (!in_use || !is_write(number) || too_large_.contains(number)) return;
  if (random_.chance(world_.parameters.clients.retries, 10000)) again_.push_back(operation);
}

void Workload::answered_alone(Number number, const Answer& answer) {
  if (too_large_.erase(number) > 0) return refused_as_too_large(number, answer);
  const bool failed = answer.kind == Answer::Kind::kError;
  const bool unknown = failed && answer.text.starts_with(kUnknownError);
  const bool refused = failed && is_refusal(answer.text);
  if (errors_forbidden_ && (unknown || refused)) {
    world_.fail("availability", "without a fault, " + checker::readable(history_.operations()[number]) + " got " + answer.text);
  }
  if (unknown) {
    note_unknown(number);
    world_.coverage.note(Reached::kUnknown);
    return end(number, Outcome::kUnknown, {});
  }
  if (refused) {
    ++tally_.refused;
    return end(number, Outcome::kFailed, {});
  }
  ++tally_.answered;
  end(number, Outcome::kOk, answer);
}

void Workload::undone(Number number) {
  ++tally_.answered;
  end(number, Outcome::kFailed, {});
}

void Workload::lost(Number number, bool was_sent) {
  const auto group = groups_.find(number);
  if (group != groups_.end()) {
    for (const Number other : group->second.others) lost_alone(other, was_sent);
    groups_.erase(group);
  }
  // It never happens, whoever heard of it.
  lost_alone(number, was_sent && too_large_.erase(number) == 0);
}

void Workload::lost_alone(Number number, bool was_sent) {
  if (was_sent) note_unknown(number);
  else ++tally_.refused;
  if (errors_forbidden_) world_.fail("availability", "without a fault, a connection was lost");
  end(number, was_sent ? Outcome::kUnknown : Outcome::kFailed, {});
}

}  // namespace leto::sim
