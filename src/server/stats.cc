#include "server/stats.h"

#include <bit>
#include <functional>
#include <span>

#include "base/format.h"
#include "server/environment.h"

namespace leto::server {

void Histogram::add(uint64_t value) {
  const size_t bucket = static_cast<size_t>(std::bit_width(value));
  ++buckets_[bucket < kBuckets ? bucket : kBuckets - 1];
  ++count_;
}

std::string Histogram::text() const {
  std::string text;
  for (size_t bucket = 0; bucket < kBuckets; ++bucket) {
    if (buckets_[bucket] == 0) continue;
    const uint64_t upper = bucket == 0 ? 0 : (uint64_t{1} << bucket) - 1;
    text += base::format("%sle_%llu=%llu", text.empty() ? "" : ",",
                         static_cast<unsigned long long>(upper),
                         static_cast<unsigned long long>(buckets_[bucket]));
  }
  return text;
}

CommandStats& Stats::of(const command::Command& command, command::Arguments arguments) {
  if (command::is_container(command)) return subcommands[command::full_name(command, arguments)];
  if (commands.empty()) commands.resize(command::commands().size());
  const std::span<const command::Command> listed = command::commands();
  // A row that is not in the table counts for the one of its name.
  const bool is_listed = !std::less<>()(&command, listed.data()) && std::less<>()(&command, listed.data() + listed.size());
  return commands[static_cast<size_t>((is_listed ? &command : command::find_command(command.name)) - listed.data())];
}

void Stats::sample(uint64_t now_us) {
  const uint64_t elapsed_us = now_us - last_sample_us_;
  if (elapsed_us == 0) return;
  samples_[next_sample_] = (commands_processed - last_sample_commands_) * 1000000 / elapsed_us;
  next_sample_ = (next_sample_ + 1) % kSamples;
  last_sample_us_ = now_us;
  last_sample_commands_ = commands_processed;
}

uint64_t Stats::operations_per_second() const {
  uint64_t sum = 0;
  for (uint64_t sample : samples_) sum += sample;
  return sum / kSamples;
}

void Stats::reset() {
  Stats fresh;
  fresh.started_us = started_us;
  fresh.last_sample_us_ = last_sample_us_;
  *this = std::move(fresh);
}

void Stats::note_turn(uint64_t cpu_us, Clock& clock) {
  if (cpu_us <= loop_turn_cpu_usec_max) return;
  loop_turn_cpu_usec_max = cpu_us;
  loop_turn_cpu_max_at_ms = clock.wall_ms();
}

void Stats::note_call(const command::Command& command, command::Arguments arguments) {
  ++commands_processed;
  ++of(command, arguments).calls;
}

void Stats::note_failure(const command::Command& command, command::Arguments arguments, std::string_view text) {
  note_error(text);
  ++of(command, arguments).failed;
}

void Stats::note_error(std::string_view text) {
  ++error_replies;
  const std::string_view code = text.substr(0, text.find(' '));
  if (code == "UNKNOWN") ++unknown_outcomes;
  const auto found = errors.find(code);
  if (found != errors.end()) {
    ++found->second;
  } else if (errors.size() < 128) {
    errors.emplace(code, 1);
  }
}

}  // namespace leto::server
