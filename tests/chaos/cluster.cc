#include "tests/chaos/cluster.h"

#include <csignal>
#include <cstdlib>
#include <utility>

#include "base/format.h"

namespace leto::chaos {

namespace {

constexpr Milliseconds kWatchInterval = 50, kMonitorPatience = 1000, kFresh = 1000;
constexpr Milliseconds kFoundLength = 30'000, kShutDownLength = 20'000;

uint64_t number(const std::string& digits) { return std::strtoull(digits.c_str(), nullptr, 10); }

}  // namespace

View parse_view(const std::string& text) {
  View view;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find("\r\n", begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    begin = end + 2;
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string name = line.substr(0, colon), value = line.substr(colon + 1);
    if (name == "id") view.id = value;
    if (name == "role") view.role = value;
    if (name == "leader") view.leader = value;
    if (name == "member_role") view.member_role = value;
    if (name == "cluster_id") view.cluster_id = value;
    if (name == "term") view.term = number(value);
    if (name == "applied_index") view.applied = number(value);
    if (name == "last_index") view.last = number(value);
    if (name == "members") view.members = number(value);
  }
  return view;
}

Cluster::Cluster(const ClusterSetup& setup) : setup_(setup) {
  for (size_t i = 0; i < setup.nodes; ++i) nodes_.push_back(std::make_unique<Node>());
  watch();
}

bool Cluster::found() {
  start(1);
  setup_.loop.run_until(kFoundLength, [this] { return leader() == 1; });
  for (size_t node = 2; node <= nodes(); ++node) {
    at(node).join_at = 1;
    start(node);
  }
  return setup_.loop.run_until(kFoundLength, [this] { return is_whole() || setup_.world.failed(); }) && is_whole();
}

void Cluster::start(size_t node) {
  Node& started = at(node);
  if (started.running || setup_.loop.interrupted()) return;
  std::filesystem::create_directories(data(node).parent_path());
  Command command;
  command.words = {setup_.program, "-id", id(node), "-raftdir", data(node).string(), "-requirepass", kPassword,
                   "-follower-writes", forwards(node) ? "forward" : "error"};
  const std::vector<std::string> where = setup_.network.options(node);
  command.words.insert(command.words.end(), where.begin(), where.end());
  const std::vector<std::string>& options = setup_.options.at(node - 1);
  command.words.insert(command.words.end(), options.begin(), options.end());
  if (started.join_at != 0) command.words.insert(command.words.end(), {"-join", readable(address(started.join_at))});
  command.output = output(node);
  command.prepare = [this, node] { return setup_.network.enter(node); };
  started.running = started.child.start(command);
  started.awake_since = Loop::now();
  if (!started.running) setup_.world.fail("process", "no new process");
}

void Cluster::forget(Node& node) {
  node.running = node.paused = false;
  node.awake_since = UINT64_MAX;
  node.view = {};
  node.asked_at = 0;
  if (node.monitor) node.monitor->close();
  node.monitor = nullptr;
}

void Cluster::kill_now(size_t node) {
  at(node).child.kill_and_wait();
  forget(at(node));
}

void Cluster::shut_down(size_t node) {
  Node& ending = at(node);
  if (!ending.running) return;
  resume(node);
  ending.child.signal(SIGTERM);
  forget(ending);
  const bool ended = setup_.loop.run_until(kShutDownLength, [&ending] { return !ending.child.runs(); });
  if (!ended && setup_.loop.interrupted()) return;
  if (!ended) setup_.world.fail("shutdown", id(node) + " does not end when it is told to");
  if (!ended) return kill_now(node);
  if (ending.child.status() != "exit 0") setup_.world.fail("shutdown", id(node) + " ended with " + ending.child.status());
}

void Cluster::pause(size_t node) {
  if (!at(node).running) return;
  at(node).child.signal(SIGSTOP);
  at(node).paused = true;
  at(node).awake_since = UINT64_MAX;
}

void Cluster::resume(size_t node) {
  if (!at(node).paused) return;
  at(node).child.signal(SIGCONT);
  at(node).paused = false;
  at(node).awake_since = Loop::now();
}

void Cluster::wipe(size_t node, size_t join_at) {
  std::error_code ignored;
  std::filesystem::remove_all(data(node), ignored);
  at(node).join_at = join_at;
}

std::optional<checker::Answer> Cluster::ask(size_t node, const Request& request, Milliseconds patience) {
  return chaos::ask(setup_.loop, address(node), request, patience);
}

bool Cluster::answers_ok(size_t node, const Request& request, Milliseconds patience) {
  const std::optional<checker::Answer> answer = ask(node, request, patience);
  return answer && answer->kind == checker::Answer::Kind::kStatus && answer->text == "OK";
}

bool Cluster::is_fresh(const Node& node) const { return node.view.seen_at != 0 && Loop::now() - node.view.seen_at < kFresh; }

size_t Cluster::leader() const {
  size_t found = 0;
  for (size_t node = 1; node <= nodes(); ++node) {
    if (!is_fresh(at(node)) || view(node).role != "leader") continue;
    if (found == 0 || view(found).term < view(node).term) found = node;
  }
  return found;
}

bool Cluster::is_whole() const {
  const size_t leading = leader();
  if (leading == 0) return false;
  for (size_t node = 1; node <= nodes(); ++node) {
    const View& seen = view(node);
    const bool follows = node == leading || (seen.role == "follower" && seen.leader == id(leading));
    if (!is_fresh(at(node)) || !follows || seen.member_role != "voter" || seen.members != nodes()) return false;
  }
  return true;
}

bool Cluster::has_converged() const {
  if (!is_whole()) return false;
  for (size_t node = 1; node <= nodes(); ++node) {
    if (view(node).applied != view(leader()).last) return false;
  }
  return true;
}

bool Cluster::was_removed(size_t node) {
  const View& seen = view(node);
  if (!is_running(node) || seen.seen_at == 0 || seen.member_role != "none" || seen.cluster_id.empty()) return false;
  const std::optional<checker::Answer> answer = ask(node, {"GET", "k"});
  return answer && answer->text.starts_with("CLUSTERDOWN this node was removed");
}

// As long as the cluster lives.
void Cluster::watch() {
  for (size_t node = 1; node <= nodes(); ++node) {
    Node& watched = at(node);
    if (!watched.running) continue;
    if (!watched.child.runs()) {
      forget(watched);
      setup_.world.fail("process", base::format("%s ended by itself: %s; see %s", id(node).c_str(), watched.child.status().c_str(),
                                                output(node).c_str()));
      continue;
    }
    look_at(node);
  }
  setup_.loop.after(kWatchInterval, [this] { watch(); });
}

void Cluster::look_at(size_t node) {
  Node& watched = at(node);
  const Milliseconds now = Loop::now();
  if (watched.asked_at != 0 && now < watched.asked_at + kMonitorPatience) return;
  const bool stuck = watched.asked_at != 0;
  if (stuck || !watched.monitor || !watched.monitor->is_open()) {
    if (watched.monitor) watched.monitor->close();
    watched.monitor = Connection::open(setup_.loop, address(node), {
        .on_reply = [&watched](const checker::Answer& answer) {
          watched.asked_at = 0;
          watched.view = parse_view(answer.text);
          watched.view.seen_at = Loop::now();
        },
        .on_closed = [&watched] { watched.asked_at = 0; }});
  }
  watched.asked_at = now;
  watched.monitor->send({{"INFO", "raft"}});
}

}  // namespace leto::chaos
