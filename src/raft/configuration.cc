#include "raft/configuration.h"

#include <algorithm>
#include <cinttypes>

#include "base/assert.h"
#include "base/coding.h"
#include "base/format.h"

namespace leto::raft {

namespace {

constexpr uint8_t kFormatVersion = 1;

const Configuration& nobody() {
  static const Configuration kNone;
  return kNone;
}

bool read_text(base::Reader& reader, std::string& text) {
  const std::string_view bytes = reader.string();
  if (bytes.size() > kMemberTextMax) return false;
  text = bytes;
  return !reader.failed();
}

bool read_member(base::Reader& reader, Member& member) {
  member.node = reader.u64();
  const uint8_t role = reader.u8();
  if (role > static_cast<uint8_t>(MemberRole::kOutgoing)) return false;
  member.role = static_cast<MemberRole>(role);
  return read_text(reader, member.id) && read_text(reader, member.raft_address) &&
         read_text(reader, member.client_address);
}

}  // namespace

const Member* Configuration::find(NodeId node) const {
  for (const Member& member : members)
    if (member.node == node) return &member;
  return nullptr;
}

const Member* Configuration::find_id(std::string_view id) const {
  for (const Member& member : members)
    if (member.id == id) return &member;
  return nullptr;
}

bool Configuration::is_joint() const {
  return std::any_of(members.begin(), members.end(), [](const Member& member) {
    return member.role == MemberRole::kIncoming || member.role == MemberRole::kOutgoing;
  });
}

bool Configuration::is_voter(NodeId node) const {
  const Member* member = find(node);
  return member && member->role != MemberRole::kLearner && member->role != MemberRole::kObserver;
}

size_t Configuration::voter_count() const {
  return static_cast<size_t>(std::count_if(members.begin(), members.end(), [](const Member& member) {
    return member.role != MemberRole::kLearner && member.role != MemberRole::kObserver;
  }));
}

std::string encode_configuration(const Configuration& configuration) {
  std::string bytes;
  base::put_u8(bytes, kFormatVersion);
  base::put_varint(bytes, configuration.members.size());
  for (const Member& member : configuration.members) {
    base::put_u64(bytes, member.node);
    base::put_u8(bytes, static_cast<uint8_t>(member.role));
    base::put_string(bytes, member.id);
    base::put_string(bytes, member.raft_address);
    base::put_string(bytes, member.client_address);
  }
  return bytes;
}

bool decode_configuration(std::string_view bytes, Configuration& configuration) {
  base::Reader reader(bytes);
  if (reader.u8() != kFormatVersion) return false;
  const uint64_t count = reader.varint_at_most(kMembersMax);
  if (reader.failed()) return false;
  Configuration decoded;
  NodeId previous = kNobody;
  for (uint64_t i = 0; i < count; ++i) {
    Member member;
    if (!read_member(reader, member) || member.node <= previous) return false;
    previous = member.node;
    decoded.members.push_back(std::move(member));
  }
  if (!reader.at_end()) return false;
  configuration = std::move(decoded);
  return true;
}

ConfigurationHistory::ConfigurationHistory(std::vector<ConfigurationAt> history) : history_(std::move(history)) {
  for (size_t i = 1; i < history_.size(); ++i)
    LETO_ASSERT(history_[i - 1].index < history_[i].index, base::format("configuration %zu", i));
}

const Configuration& ConfigurationHistory::latest() const {
  return history_.empty() ? nobody() : history_.back().configuration;
}

const Configuration& ConfigurationHistory::at(Index index) const {
  for (size_t i = history_.size(); i-- > 0;)
    if (history_[i].index <= index) return history_[i].configuration;
  return nobody();
}

std::vector<ConfigurationAt>::const_iterator ConfigurationHistory::since(Index index) const {
  const auto behind = std::upper_bound(history_.begin(), history_.end(), index,
                                       [](Index wanted, const ConfigurationAt& each) { return wanted < each.index; });
  return behind == history_.begin() ? behind : behind - 1;
}

bool ConfigurationHistory::has_voter_since(Index index, NodeId node) const {
  return std::any_of(since(index), history_.end(),
                     [node](const ConfigurationAt& each) { return each.configuration.is_voter(node); });
}

bool ConfigurationHistory::has_other_voter_since(Index index, NodeId node) const {
  return std::any_of(since(index), history_.end(), [node](const ConfigurationAt& each) {
    return each.configuration.voter_count() > (each.configuration.is_voter(node) ? 1u : 0u);
  });
}

void ConfigurationHistory::append(Index index, Configuration configuration) {
  LETO_ASSERT(index > latest_index(), base::format("configuration at %" PRIu64 " after %" PRIu64, index, latest_index()));
  history_.push_back({.index = index, .configuration = std::move(configuration)});
}

void ConfigurationHistory::truncate_from(Index index) {
  while (!history_.empty() && history_.back().index >= index) history_.pop_back();
}

void ConfigurationHistory::forget_before(Index committed) {
  size_t superseded = 0;
  while (superseded + 1 < history_.size() && history_[superseded + 1].index <= committed) ++superseded;
  if (superseded > 0) history_.erase(history_.begin(), history_.begin() + static_cast<ptrdiff_t>(superseded));
}

void ConfigurationHistory::reset(ConfigurationAt in_force) {
  history_.clear();
  history_.push_back(std::move(in_force));
}

}  // namespace leto::raft
