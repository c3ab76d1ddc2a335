// The nodes of a run as processes: started, ended, stopped, watched. What it knows of them is what is documented: options,
// replies, fields of INFO, exit statuses, lines of the log. Refuses to know why it is asked to.
// Invariant: a node that ends without having been asked to fails the run.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/chaos/child.h"
#include "tests/chaos/client.h"
#include "tests/chaos/network.h"

namespace leto::chaos {

struct ClusterSetup {
  Loop& loop;
  sim::World& world;
  Network& network;
  std::string program;                  // bin/leto.
  std::filesystem::path directory;      // Of this run; there, and empty.
  size_t nodes = 3;
  std::vector<std::vector<std::string>> options;   // Of each node, the first one's first.
};

// Of INFO raft, when the node last answered.
struct View {
  Milliseconds seen_at = 0;     // 0: never in this life.
  std::string id, role, leader, member_role, cluster_id;
  uint64_t term = 0, applied = 0, last = 0, members = 0;
};

// Reads `text` of INFO raft.
View parse_view(const std::string& text);

class Cluster final : public Directory {
 public:
  explicit Cluster(const ClusterSetup& setup);

  // Starts all of them: the first founds the cluster, the others join. True once is_whole().
  bool found();

  void start(size_t node);
  void kill_now(size_t node);
  // SIGTERM; it fails the run if that does not end it with status 0.
  void shut_down(size_t node);
  void pause(size_t node);
  void resume(size_t node);
  // The node is down, its files are gone; it is to join again when it is started.
  void wipe(size_t node, size_t join_at);
  bool is_running(size_t node) const { return at(node).running; }
  bool is_paused(size_t node) const { return at(node).paused; }

  // Over a connection of its own. REQUIRES: as Loop::run_until().
  std::optional<checker::Answer> ask(size_t node, const Request& request, Milliseconds patience = 5000);
  bool answers_ok(size_t node, const Request& request, Milliseconds patience = 5000);

  // One leads, all follow it and are voters.
  bool is_whole() const;
  bool is_led() const { return leader() != 0; }
  // All have applied all of the leader's log, as far as was seen within the last moments.
  bool has_converged() const;
  const View& view(size_t node) const { return at(node).view; }
  // It says itself that it was removed. REQUIRES: as Loop::run_until().
  bool was_removed(size_t node);

  size_t nodes() const override { return nodes_.size(); }
  size_t leader() const override;
  bool forwards(size_t node) const override { return node % 2 == 1; }
  Address address(size_t node) const override { return setup_.network.clients(node); }
  Milliseconds awake_since(size_t node) const override { return at(node).awake_since; }

  std::filesystem::path data(size_t node) const { return setup_.directory / id(node) / "data"; }
  std::filesystem::path output(size_t node) const { return setup_.directory / (id(node) + ".log"); }
  static std::string id(size_t node) { return "n" + std::to_string(node); }

 private:
  struct Node {
    Child child;
    bool running = false;       // As far as we did it.
    bool paused = false;
    Milliseconds awake_since = UINT64_MAX;
    size_t join_at = 0;         // 0: it founds.
    View view;
    std::shared_ptr<Connection> monitor;
    Milliseconds asked_at = 0;  // 0: no answer is waited for.
  };

  Node& at(size_t node) { return *nodes_.at(node - 1); }
  const Node& at(size_t node) const { return *nodes_.at(node - 1); }
  void watch();
  void look_at(size_t node);
  void forget(Node& node);
  bool is_fresh(const Node& node) const;

  ClusterSetup setup_;
  std::vector<std::unique_ptr<Node>> nodes_;
};

}  // namespace leto::chaos
