// Replica: committed entries meet the keyspace, in order, and those who wait for them are answered.
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "base/log.h"
#include "command/entry.h"
#include "server/replica.h"

namespace leto::server {

void Replica::apply(const std::vector<raft::Entry>& entries) {
  if (entries.empty()) return;
  const uint64_t commands_before = stats_.commands_applied;
  reads_beside_writes_ = {.began_us = environment_.clock.monotonic_us(), .bytes = 0};
  for (const raft::Entry& entry : entries) {
    if (!apply_entry(entry)) break;
  }
  raft_.applied(applied_.index);
  crowd_expected_ = stats_.commands_applied - commands_before;
  linger_until_us_ = environment_.clock.monotonic_us() + linger_us();
}

// False: it is of a newer version; skipping it would make this node another state machine.
bool Replica::apply_entry(const raft::Entry& entry) {
  LETO_ASSERT(entry.id.index == applied_.index + 1,
              base::format("entry %llu applied after %llu",
                           static_cast<unsigned long long>(entry.id.index),
                           static_cast<unsigned long long>(applied_.index)));
  const uint16_t level_before = semantics_level_;
  if (entry.kind == raft::EntryKind::kCommands) {
    if (is_newer(entry)) return false;
    apply_commands(entry);
  }
  applied_ = entry.id;
  applied_bytes_ += entry.size();
  if (entry.kind == raft::EntryKind::kConfiguration) apply_configuration(entry);
  ++stats_.entries_applied;
  if (semantics_level_ == level_before) return true;
  LETO_LOG(kNotice, "raft: semantics level %u from entry %llu on", semantics_level_,
           static_cast<unsigned long long>(entry.id.index));
  if (on_semantics_level) on_semantics_level(true);
  return true;
}

bool Replica::is_newer(const raft::Entry& entry) {
  if (!command::EntryReader::is_newer(*entry.payload, semantics_supported_)) return false;
  const std::string why = command::EntryReader::open(*entry.payload, semantics_supported_).status().text();
  raft_.hold_apply(true);
  on_unusable(base::format("entry %llu of the log cannot be applied: %s; upgrade this node",
                           static_cast<unsigned long long>(entry.id.index), why.c_str()));
  return true;
}

void Replica::apply_commands(const raft::Entry& entry) {
  base::Result<command::EntryReader> opened = command::EntryReader::open(*entry.payload, semantics_supported_);
  LETO_ASSERT(opened.is_ok(), opened.status().text());
  command::EntryReader& reader = opened.value();
  has_commands_ = has_commands_ || reader.count() > 0;
  semantics_level_ = std::max(semantics_level_, reader.header().semantics);
  PendingEntry mine;
  if (!pending_.empty() && pending_.front().id == entry.id) {
    mine = std::move(pending_.front());
    pending_.pop_front();
  }
  LETO_ASSERT(pending_.empty() || pending_.front().id.index > entry.id.index,
              "a proposal is applied or was failed when leadership was lost");
  cluster_time_.applied(reader.header().time_ms);
  command::Stamp stamp{.version = {.index = entry.id.index},
                       .time_ms = reader.header().time_ms,
                       .seed = reader.header().seed,
                       .semantics = semantics_level_};
  while (reader.next(view_)) {
    command::apply_test_rules(semantics_level_, view_);
    const size_t position = stamp.version.position;
    const Waiter* waiter = position < mine.waiters.size() ? &mine.waiters[position] : nullptr;
    apply_command(view_, stamp, waiter);
    ++stamp.version.position;
  }
  LETO_ASSERT(!reader.failed(), base::format("entry %llu is malformed at command %u",
                                             static_cast<unsigned long long>(entry.id.index),
                                             stamp.version.position));
  stats_.commands_applied += stamp.version.position;
  has_applied_commands_ = has_applied_commands_ || stamp.version.position > 0;
}

void Replica::apply_command(const command::CommandView& view, const command::Stamp& stamp,
                            const Waiter* waiter) {
  const command::Command* command = command::find_command(view.arguments.front());
  LETO_ASSERT(command != nullptr, "an entry names a command that this version does not know");
  Request* request = nullptr;
  if (waiter != nullptr && !waiter->session->closed()) {
    run_reads_before(waiter->session, waiter->sequence);
    request = waiter->session->find(waiter->sequence);
    if (request != nullptr && request->state == RequestState::kAnswered) request = nullptr;
  }
  scratch_.clear();
  std::string& out = request == nullptr ? scratch_ : waiter->session->reply_buffer(waiter->sequence);
  resp::Reply reply(out, request == nullptr ? 2 : request->protocol);
  command::Context context = key_context(view.arguments, view.database, reply);
  context.stamp = stamp;
  if (request == nullptr) {
    context.unheard = true;
    command->handler(context);
    return;
  }
  const Locals locals = std::move(request->locals);
  context.locals = locals.get();
  run_handler(context, *command, *waiter->session);
  waiter->session->answered(waiter->sequence);
  run_reads_after(waiter->session, waiter->sequence);
  output_grew(waiter->session);
}

void Replica::apply_configuration(const raft::Entry& entry) {
  const bool decoded = raft::decode_configuration(*entry.payload, applied_configuration_);
  LETO_ASSERT(decoded, base::format("entry %llu holds no configuration",
                                    static_cast<unsigned long long>(entry.id.index)));
  applied_configuration_index_ = entry.id.index;
  std::string text;
  for (const raft::Member& member : applied_configuration_.members) {
    text += base::format(" %s(%s)", member.id.c_str(), raft::member_role_name(member.role));
  }
  LETO_LOG(kNotice, "raft: members as of entry %llu:%s",
           static_cast<unsigned long long>(entry.id.index), text.c_str());
  if (on_configuration_applied) on_configuration_applied();
}

}  // namespace leto::server
