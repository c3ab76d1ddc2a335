// What a key holds. Values are immutable once a key has them: a command that changes one makes another,
// so that a flush can read the old one from its job while commands go on.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <string>

namespace leto::keyspace {

enum class Type : uint8_t { kString = 0 };

struct Value {
  Type type = Type::kString;
  std::string string;
};

// Shared by the dictionary and the cuts that wait for the disk. Released on the loop thread only.
using ValueRef = std::shared_ptr<const Value>;

ValueRef make_string(std::string bytes);

// Which command wrote a key last: the log index of its entry and its position within. Compared whole.
struct Version {
  uint64_t index = 0;
  uint32_t position = 0;
  auto operator<=>(const Version&) const = default;
};

inline constexpr uint64_t kNoDeadline = 0;

struct Item {
  ValueRef value;                       // Null in a cut: the key is gone.
  Version version;
  uint64_t deadline_ms = kNoDeadline;   // Cluster time.
};

}  // namespace leto::keyspace
