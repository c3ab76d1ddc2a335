#include "server/cluster_check.h"

#include <optional>
#include <utility>

#include "base/log.h"
#include "base/number.h"
#include "server/request_text.h"

namespace leto::server {

namespace {

// The value of a line "name:value" of INFO, once the line is whole.
std::optional<std::string> field_of(const std::string& text, const std::string& name) {
  const std::string begin = "\n" + name + ":";
  const size_t at = text.find(begin);
  const size_t end = at == std::string::npos ? at : text.find("\r\n", at + begin.size());
  if (end == std::string::npos) return std::nullopt;
  return text.substr(at + begin.size(), end - at - begin.size());
}

}  // namespace

bool is_another_cluster(const ClusterFound& found, const std::string& own, const raft::Configuration& members) {
  if (found.cluster_id.empty() || found.cluster_id == own) return false;
  const bool came_up_empty = found.founder && found.members == 1 && members.find_id(found.node_id) != nullptr;
  return !came_up_empty;
}

ClusterCheck::ClusterCheck(Loop& loop, const Options& options, Found found)
    : options_(options), found_(std::move(found)), timer_(loop) {
  timer_.start(kTimeoutMs, [this] { on_failure("no answer"); });
  dial(loop, options.join, kTimeoutMs);
}

ClusterCheck::~ClusterCheck() = default;

void ClusterCheck::on_reached() {
  say(auth_request_text(options_) + request_text({"INFO", "raft"}));
}

void ClusterCheck::on_bytes(std::string_view bytes) {
  if (answer_.size() + bytes.size() > kAnswerBytesMax) return on_failure("its answer is too long");
  answer_.append(bytes);
  const std::optional<std::string> cluster_id = field_of(answer_, "cluster_id");
  const std::optional<std::string> node_id = field_of(answer_, "id");
  const std::optional<std::string> members = field_of(answer_, "members");
  if (!cluster_id || !node_id || !members) return;
  const std::optional<int64_t> count = base::parse_int64(*members);
  // It stands before the members.
  const std::optional<std::string> founder = field_of(answer_, "founder");
  const ClusterFound found{.cluster_id = *cluster_id,
                           .node_id = *node_id,
                           .members = count && *count > 0 ? static_cast<uint64_t>(*count) : 0,
                           .founder = !founder || *founder == "1"};
  end();
  found_(found);
}

void ClusterCheck::on_failure(const std::string& why) {
  LETO_LOG(kVerbose, "which cluster is at %s is not known: %s", options_.join.text().c_str(), why.c_str());
  end();
}

void ClusterCheck::end() {
  timer_.stop();
  hang_up();
}

}  // namespace leto::server
