// Counters of a node, for INFO; CONFIG RESETSTAT zeroes those that Redis's zeroes.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "command/table.h"

namespace leto::server {

// Counts by power of two: bucket i holds values in [2^(i-1), 2^i), bucket 0 the zeros.
class Histogram {
 public:
  void add(uint64_t value);
  // "le_1=0,le_2=5,...": upper bounds inclusive of the bucket, only buckets that have something.
  std::string text() const;
  uint64_t count() const { return count_; }
  void reset() { *this = Histogram(); }

 private:
  static constexpr size_t kBuckets = 40;
  std::array<uint64_t, kBuckets> buckets_{};
  uint64_t count_ = 0;
};

class Clock;

struct CommandStats {
  uint64_t calls = 0;         // Without those that were refused before.
  uint64_t runs = 0;          // Of its handler for a client, wherever that asked.
  uint64_t nanoseconds = 0;   // That they took; see timed_run.h.
  uint64_t rejected = 0;
  uint64_t failed = 0;
};

struct Stats {
  uint64_t started_us = 0;                 // Monotonic.
  uint64_t commands_processed = 0;
  uint64_t connections_received = 0;       // Raised by the owner of the sockets.
  uint64_t rejected_connections = 0;
  uint64_t protocol_errors = 0;
  uint64_t input_bytes = 0;
  uint64_t output_bytes = 0;
  uint64_t error_replies = 0;
  uint64_t unknown_outcomes = 0;
  uint64_t forward_requests = 0;           // Sent to a leader for clients here; one that was sent again counts again.
  uint64_t forward_retries = 0;            // Of them: not taken, so that they are sent again.
  uint64_t forward_unknown = 0;            // Of them: ended as UNKNOWN.
  uint64_t forward_served = 0;             // Taken from other nodes.
  uint64_t elections = 0;                  // Started here.
  uint64_t leader_changes = 0;
  uint64_t read_rounds = 0;
  uint64_t reads_served = 0;
  uint64_t entries_proposed = 0;
  uint64_t entries_applied = 0;
  uint64_t commands_applied = 0;
  uint64_t flushes = 0;
  uint64_t flush_failures = 0;
  uint64_t flush_microseconds = 0;
  uint64_t compactions = 0;
  uint64_t snapshots_made = 0;             // Copied, to be sent.
  uint64_t snapshots_installed = 0;
  uint64_t snapshot_bytes_sent = 0;
  uint64_t snapshot_bytes_received = 0;
  uint64_t loop_turn_cpu_usec_max = 0;
  uint64_t loop_turn_cpu_max_at_ms = 0;    // When that turn ended, of the Unix clock.
  uint64_t peer_messages_sent = 0;         // Raised by the network, as the two below.
  uint64_t peer_messages_received = 0;
  uint64_t peer_messages_dropped = 0;
  Histogram batch_commands;                // Commands per entry.
  Histogram commit_microseconds;           // Job of raft.db, as the loop sees it.
  std::vector<CommandStats> commands;      // By place in the command table.
  std::map<std::string_view, CommandStats> subcommands;   // By full name, "config|get".
  std::map<std::string, uint64_t, std::less<>> errors;   // By the first word of the reply.

  // Of the subcommand that the arguments name, if the command has any.
  CommandStats& of(const command::Command& command, command::Arguments arguments);

  // Operations per second over the last samples; call sample() every 100 ms.
  void sample(uint64_t now_us);
  uint64_t operations_per_second() const;
  // What CONFIG RESETSTAT resets.
  void reset();
  // Of a turn of the loop that ends now: kept if none was longer. Only then is the clock looked at.
  void note_turn(uint64_t cpu_us, Clock& clock);
  // Notes that a command is carried out, or handed to who will; not one that was refused or queued.
  void note_call(const command::Command& command, command::Arguments arguments);
  // Notes an error reply: its first word is counted, UNKNOWN on its own, too.
  void note_error(std::string_view text);
  // The same of an error that a command's handler answered.
  void note_failure(const command::Command& command, command::Arguments arguments, std::string_view text);

 private:
  static constexpr size_t kSamples = 16;
  std::array<uint64_t, kSamples> samples_{};
  size_t next_sample_ = 0;
  uint64_t last_sample_us_ = 0;
  uint64_t last_sample_commands_ = 0;
};

}  // namespace leto::server
