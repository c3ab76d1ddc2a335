// The words of Raft as types: terms, indexes, entries, members, configurations. Knows nothing of
// disks, sockets, clocks or what an entry's bytes mean.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace leto::raft {

using Term = uint64_t;
using Index = uint64_t;   // The first entry of a log has index 1; 0 is "before everything".
using NodeId = uint64_t;  // A node's incarnation: random, made with its data directory, never reused.
inline constexpr NodeId kNobody = 0;

struct EntryId {
  Term term = 0;
  Index index = 0;
  auto operator<=>(const EntryId&) const = default;  // By term, then index: "more up to date", section 5.4.1.
};

enum class EntryKind : uint8_t { kNothing = 0, kCommands = 1, kConfiguration = 2 };

// The bytes of an entry: immutable and shared by the log cache, the disk job, the messages and apply.
// Released on the loop thread only.
using Payload = std::shared_ptr<const std::string>;

struct Entry {
  EntryId id;
  EntryKind kind = EntryKind::kNothing;
  Payload payload;  // Never null; empty for kNothing.
  size_t size() const { return payload->size(); }
};

struct HardState {
  Term term = 0;
  NodeId voted_for = kNobody;
  bool operator==(const HardState&) const = default;
};

// A member's part in both majorities of joint consensus (section 6). kIncoming counts only in the new
// configuration, kOutgoing only in the old one; a configuration with either is joint. A kLearner is
// promoted by whoever leads once it has caught up; a kObserver (`-role learner`) never is.
enum class MemberRole : uint8_t { kVoter = 0, kLearner = 1, kObserver = 2, kIncoming = 3, kOutgoing = 4 };

constexpr const char* member_role_name(MemberRole role) {
  constexpr const char* kNames[] = {"voter", "learner", "observer", "incoming", "outgoing"};
  return kNames[static_cast<size_t>(role)];
}

struct Member {
  NodeId node = kNobody;
  std::string id;              // What people call it: -id.
  MemberRole role = MemberRole::kVoter;
  std::string raft_address;    // host:port of its peers' port.
  std::string client_address;  // host:port of its clients' port; may be empty if unknown.
  bool operator==(const Member&) const = default;
};

// Who is in the cluster. Effective as soon as it is in the log, committed or not.
struct Configuration {
  std::vector<Member> members;  // Sorted by node.

  const Member* find(NodeId node) const;
  const Member* find_id(std::string_view id) const;
  bool is_joint() const;
  bool is_voter(NodeId node) const;       // In the old or in the new majority.
  size_t voter_count() const;             // Voters of either.
  // True if the nodes for which `has(node)` holds are a majority of the old and one of the new voters.
  // False for a configuration without voters.
  template <typename Predicate>
  bool has_quorum(Predicate has) const;
  bool operator==(const Configuration&) const = default;
};

// The payload of a kConfiguration entry, and what the keys file keeps. At most kMembersMax members.
inline constexpr size_t kMembersMax = 64;
std::string encode_configuration(const Configuration& configuration);
// False if the bytes are not exactly one configuration (unsorted, doubled, too many, or cut members).
bool decode_configuration(std::string_view bytes, Configuration& configuration);

template <typename Predicate>
bool Configuration::has_quorum(Predicate has) const {
  size_t old_size = 0, old_has = 0, new_size = 0, new_has = 0;
  for (const Member& member : members) {
    const bool in_old = member.role == MemberRole::kVoter || member.role == MemberRole::kOutgoing;
    const bool in_new = member.role == MemberRole::kVoter || member.role == MemberRole::kIncoming;
    if (!in_old && !in_new) continue;
    const bool counted = has(member.node);
    old_size += in_old;
    new_size += in_new;
    old_has += in_old && counted;
    new_has += in_new && counted;
  }
  return old_size + new_size > 0 && (old_size == 0 || 2 * old_has > old_size) &&
         (new_size == 0 || 2 * new_has > new_size);
}

}  // namespace leto::raft
