#include "tests/sim/workload.h"

#include <array>
#include <utility>

#include "base/format.h"
#include "tests/sim/talk.h"

namespace leto::sim {

namespace {

using checker::Action;
using checker::Answer;
using checker::Outcome;

constexpr uint64_t kStream = 0x776f726b;
// A key is left behind after so many uses, unknown outcomes, or writes under way at once: the checker's search grows with them.
constexpr uint64_t kUsesMax = 120, kUnknownMax = 5, kOpenMax = 16;

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

Workload::Asked Workload::draw(const Who& who, bool reads_only) {
  const size_t chosen = random_.below(slots_.size());
  const Slot& present = slots_[chosen];
  if (present.uses >= kUsesMax || present.unknown >= kUnknownMax || present.open >= kOpenMax) renew(chosen);
  Slot& slot = slots_[chosen];
  ++slot.uses;
  const Action action = draw_action(slot, reads_only);
  slot.open += checker::is_write(action);
  std::string value;
  if (action == Action::kSet) {
    ++values_;
    value = slot.counter ? std::to_string(1000 * values_) : base::format("v%llu", static_cast<unsigned long long>(values_));
    const ClientParameters& usual = world_.parameters.clients;
    if (!slot.counter && random_.chance(usual.large, 100)) value.append(random_.below(usual.large_high), 'x');
  }
  return ask({.action = action, .key = slot.key, .argument = value, .client = who.client, .lane = who.lane, .place = who.place});
}

Workload::Asked Workload::ask(checker::Operation operation) {
  Asked asked;
  asked.request = {checker::action_name(operation.action), operation.key};
  if (operation.action == Action::kSet) asked.request.push_back(operation.argument);
  all_keys_.insert(operation.key);
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
  for (Slot& slot : slots_) {
    if (slot.key != history_.operations()[number].key) continue;
    --slot.open;
    slot.unknown += outcome == Outcome::kUnknown;
  }
}

void Workload::answered(Number number, const Answer& answer) {
  const bool failed = answer.kind == Answer::Kind::kError;
  const bool unknown = failed && answer.text.starts_with(kUnknownError);
  const bool refused = failed && is_refusal(answer.text);
  if (errors_forbidden_ && (unknown || refused)) {
    world_.fail("availability", "without a fault, " + checker::readable(history_.operations()[number]) + " got " + answer.text);
  }
  if (unknown) {
    ++tally_.unknown;
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
  ++(was_sent ? tally_.unknown : tally_.refused);
  if (errors_forbidden_) world_.fail("availability", "without a fault, a connection was lost");
  end(number, was_sent ? Outcome::kUnknown : Outcome::kFailed, {});
}

}  // namespace leto::sim
