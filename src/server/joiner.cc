#include "server/joiner.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/format.h"
#include "base/log.h"
#include "base/number.h"
#include "peer/frame.h"
#include "server/own_address.h"
#include "server/request_text.h"

namespace leto::server {

namespace {

// The lines of `text` that are whole, at most `count`.
std::vector<std::string_view> whole_lines(std::string_view text, size_t count) {
  std::vector<std::string_view> lines;
  while (lines.size() < count) {
    const size_t end = text.find("\r\n");
    if (end == std::string_view::npos) break;
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end + 2);
  }
  return lines;
}

}  // namespace

Joiner::Joiner(Loop& loop, const Options& options, Wish wish, Hooks hooks)
    : loop_(loop),
      options_(options),
      identity_(std::move(wish.identity)),
      targets_(std::move(wish.targets)),
      hooks_(std::move(hooks)),
      timer_(loop),
      target_(targets_.front()) {
  attempt();
}

Joiner::~Joiner() = default;

uint64_t Joiner::answer_timeout_ms(const Options& options) {
  return std::max(kAnswerTimeoutMsMin, options.request_timeout_ms + kAnswerSlackMs);
}

void Joiner::attempt() {
  timer_.stop();
  dial(loop_, target_, kConnectTimeoutMs);
}

void Joiner::on_reached() {
  const std::string host = stream().local_host();
  raft_address_ = own_raft_address(options_, host);
  client_address_ = own_client_address(options_, host);
  hooks_.reached(host);
  send(auth_request_text(options_).empty() ? Step::kJoin : Step::kAuth);
}

std::string Joiner::request(Step step) const {
  if (step == Step::kRole) return request_text({"ROLE"});
  if (step == Step::kJoin) {
    std::vector<std::string> words = {"JOIN", raft_address_, identity_.id, std::to_string(identity_.node),
                                      client_address_};
    if (options_.role == NodeRole::kLearner) words.emplace_back("LEARNER");
    return request_text(words);
  }
  return auth_request_text(options_);
}

void Joiner::send(Step step) {
  step_ = step;
  answer_.clear();
  timer_.start(answer_timeout_ms(options_), [this] { on_failure("no answer"); });
  say(request(step));
}

void Joiner::on_bytes(std::string_view bytes) {
  if (answer_.size() + bytes.size() > kAnswerBytesMax) return on_failure("its answer is too long");
  answer_.append(bytes);
  if (peer::begins_frame(answer_)) return on_failure("that is a peers' port; -join names the clients' port (listen) of a node");
  if (step_ == Step::kRole && on_role()) return;
  const std::vector<std::string_view> lines = whole_lines(answer_, 1);
  if (lines.empty()) return;
  const std::string line(lines.front());
  if (step_ == Step::kRole && line.starts_with('*')) return;
  on_answer(line);
}

void Joiner::on_answer(std::string_view line) {
  if (line == "-not leader") return send(Step::kRole);
  if (!line.starts_with('+')) return on_failure(std::string(line.substr(line.empty() ? 0 : 1)));
  if (step_ == Step::kAuth) return send(Step::kJoin);
  if (step_ != Step::kJoin) return on_failure("an answer that makes no sense: " + std::string(line));
  LETO_LOG(kNotice, "joined the cluster at %s", target_.text().c_str());
  end();
  // May destroy this.
  const std::function<void()> joined = hooks_.joined;
  joined();
}

// A follower says: slave, host and port of the leader, how well it hears it, its offset.
bool Joiner::on_role() {
  constexpr size_t kLines = 6;   // *5, $5, slave, $n, host, :port
  const std::vector<std::string_view> lines = whole_lines(answer_, kLines);
  if (lines.size() < kLines || !lines[0].starts_with('*')) return false;
  const std::optional<int64_t> port = base::parse_int64(lines[5].substr(std::min<size_t>(1, lines[5].size())));
  const bool knows = lines[2] == "slave" && !lines[4].empty() && port && *port > 0 && *port < 65536;
  if (!knows) {
    on_failure("it does not know the leader");
  } else {
    go_to({.host = std::string(lines[4]), .port = static_cast<uint16_t>(*port)});
  }
  return true;
}

void Joiner::go_to(const Address& leader) {
  if (++redirects_ > kRedirectsMax) return on_failure("it sends from node to node");
  Address next = leader;
  // What another machine calls itself is of no use here.
  if (is_loopback(next.host) && !target_.host.empty() && !is_loopback(target_.host)) next.host = target_.host;
  LETO_LOG(kVerbose, "joining: the leader is at %s", next.text().c_str());
  target_ = next;
  attempt();
}

void Joiner::on_failure(const std::string& why) {
  end();
  std::string text = base::format("cannot join %s: %s", target_.text().c_str(), why.c_str());
  while (text.ends_with('.')) text.pop_back();
  if (step_ == Step::kAuth && why.starts_with("ERR AUTH")) {
    text += " (that cluster has no password, this node has one: set requirepass on its nodes, or start this one without)";
  }
  if (why.starts_with("NOAUTH") || why.starts_with("WRONGPASS")) text += " (say -join-password or -requirepass)";
  const bool taken = why.starts_with("ERR node " + identity_.id + " is alive at ");
  if (is_taken_for_long(taken)) {
    // May destroy this.
    const std::function<void(const std::string&)> gave_up = hooks_.gave_up;
    return gave_up(text);
  }
  // Who knows better than the others is asked again.
  if (!taken) ++turn_;
  try_again(text);
}

bool Joiner::is_taken_for_long(bool taken) {
  const uint64_t now_us = loop_.monotonic_us();
  if (!taken || taken_since_us_ == 0) taken_since_us_ = taken ? now_us : 0;
  return taken && patience_left_us() == 0;
}

uint64_t Joiner::patience_left_us() const {
  const uint64_t end_us = taken_since_us_ + kGiveUpElections * options_.election_timeout_ms * 1000;
  return end_us - std::min(end_us, loop_.monotonic_us());
}

void Joiner::try_again(const std::string& text) {
  if (told_.size() >= kToldMax) told_.clear();
  if (told_.insert(text).second) {
    LETO_LOG(kWarning, "%s; trying again until it works", text.c_str());
  } else {
    LETO_LOG(kVerbose, "%s; trying again", text.c_str());
  }
  redirects_ = 0;
  target_ = targets_[turn_ % targets_.size()];
  // The last time when it is due to give up, not when the pause has grown beyond that.
  const uint64_t left_ms = taken_since_us_ == 0 ? retry_ms_ : (patience_left_us() + 999) / 1000;
  timer_.start(std::min(retry_ms_, left_ms), [this] { attempt(); });
  retry_ms_ = std::min(retry_ms_ * 2, kRetryMsMax);
}

void Joiner::end() {
  timer_.stop();
  hang_up();
}

}  // namespace leto::server
