// The payload of a kCommands log entry: one header and a batch of write commands. Format version 1.
// Unknown format or semantics at apply stop the node; unknown tagged fields of the header are skipped. An entry
// without commands raises the cluster's semantics level to the header's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/coding.h"
#include "base/status.h"
#include "resp/request_parser.h"

namespace leto::command {

inline constexpr uint8_t kEntryFormat = 1;
inline constexpr uint16_t kSemanticsFirst = 1;   // Of every new cluster; see semantics.h.

struct EntryHeader {
  uint64_t time_ms = 0;    // Cluster time at the leader.
  uint64_t seed = 0;
  uint16_t semantics = kSemanticsFirst;   // The level that who applies the entry has to support.
};

// Collects the writes of a turn. Bytes are the entry's, header included.
class EntryBuilder {
 public:
  EntryBuilder();
  void add(uint32_t database, resp::Arguments arguments);
  size_t bytes() const { return commands_.size() + kHeaderBytesMax; }
  uint32_t count() const { return count_; }
  // What one command adds at most.
  static size_t encoded_size(resp::Arguments arguments);
  // The payload; the builder is empty afterwards.
  std::string finish(const EntryHeader& header);

 private:
  static constexpr size_t kHeaderBytesMax = 64;
  std::string commands_;
  uint32_t count_ = 0;
};

struct CommandView {
  uint32_t database = 0;
  std::vector<std::string_view> arguments;   // Into the payload.
};

// One command as an entry holds it.
void put_command(std::string& out, uint32_t database, resp::Arguments arguments);
// False if the bytes are malformed; then `command` has no arguments.
bool read_command(base::Reader& reader, CommandView& command);

class EntryReader {
 public:
  // Fails for a cut, malformed or newer payload; the text names which. `supported`: the highest semantics level. `payload`
  // must outlive this.
  static base::Result<EntryReader> open(std::string_view payload, uint16_t supported);
  // Whether that fails because the payload is of a newer version than this one.
  static bool is_newer(std::string_view payload, uint16_t supported);
  const EntryHeader& header() const { return header_; }
  uint32_t count() const { return count_; }
  // False at the end or if the bytes are malformed (then failed()).
  bool next(CommandView& command);
  bool failed() const { return failed_; }

 private:
  explicit EntryReader(std::string_view payload) : reader_(payload) {}
  base::Reader reader_;
  EntryHeader header_;
  uint32_t count_ = 0;
  uint32_t read_ = 0;
  bool failed_ = false;
};

}  // namespace leto::command
