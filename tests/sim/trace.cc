#include "tests/sim/trace.h"

#include <cstdio>
#include <utility>

#include "base/format.h"
#include "base/hash.h"

namespace leto::sim {

namespace {

using Number = unsigned long long;


// By EventKind. Machines are numbers from 1; message kinds are frame types of docs/protocol.md.
constexpr const char* kFormats[] = {
    "",
    "sends to %llu a message of type %llu, term %llu",
    "takes from %llu a message of type %llu, term %llu",
    "loses from %llu a message of type %llu, reason %llu",
    "log write begins: %llu writes, %llu entries, vote %llu",
    "log write ends: result %llu, durable to %llu, term %llu",
    "keys flush ends: ok %llu, applied %llu",
    "log read ends: from %llu, %llu entries",
    "checkpoint: ok %llu",
    "client %llu sends operation %llu (action %llu)",
    "client %llu: operation %llu ends with outcome %llu",
    "commit %llu of term %llu",
    "applied %llu, digest %016llx",
};

}  // namespace

void Trace::add(const TraceEvent& event) {
  uint64_t hash = base::mix64(hash_ ^ scheduler_.now());
  hash = base::mix64(hash ^ (static_cast<uint64_t>(event.kind) << 32) ^ event.machine);
  hash = base::mix64(hash ^ event.a);
  hash = base::mix64(hash ^ event.b);
  hash = base::mix64(hash ^ event.c);
  if (!event.text.empty()) hash = base::hash64(event.text, hash);
  hash_ = hash;
  Kept kept;
  if (kept_.size() >= kKept) {
    kept = std::move(kept_.front());
    kept_.pop_front();
  }
  kept.time = scheduler_.now();
  kept.event = event;
  kept.text.assign(event.text);
  kept.event.text = {};
  kept_.push_back(std::move(kept));
  if (prints_) std::printf("%s\n", line(kept_.back()).c_str());
}

std::string Trace::line(const Kept& kept) {
  std::string text = kept.text;
  if (kept.event.kind != EventKind::kText) {
    const char* format = kFormats[static_cast<size_t>(kept.event.kind)];
    char buffer[160];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    std::snprintf(buffer, sizeof buffer, format, Number{kept.event.a}, Number{kept.event.b}, Number{kept.event.c});
#pragma GCC diagnostic pop
    text = buffer;
  }
  const std::string who = kept.event.machine == 0 ? "  " : base::format("n%zu", kept.event.machine);
  return base::format("%4llu.%06llu %s %s", Number{kept.time / kSecond}, Number{kept.time % kSecond}, who.c_str(),
                      text.c_str());
}

std::string Trace::last_events() const {
  std::string text;
  for (const Kept& kept : kept_) text += line(kept) + "\n";
  return text;
}

}  // namespace leto::sim
