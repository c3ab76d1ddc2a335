// The machines of one run and what keeps them going: after each event the dead are buried and started again,
// and the invariants looked at. Refuses to know why a machine dies.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/client.h"
#include "tests/sim/invariants.h"
#include "tests/sim/network.h"

namespace leto::sim {

class Cluster final : public Directory {
 public:
  explicit Cluster(World& world);

  // Makes the data directories and starts everyone; members come by JOIN if the seed says so.
  void begin();
  // Runs events until `done`, at most for `length`. False if it was not, or something was found wrong.
  bool run(Microseconds length, const std::function<bool()>& done);
  // Nobody is down longer than it takes to start.
  void start_all();
  bool all_ready() const;
  bool anyone_leaves() const;
  // Somebody leads, and has committed in its term.
  bool is_led();
  // Those whom the leader's log still reaches are no majority.
  bool commit_needs_snapshot();
  // Everyone is a member that votes, nobody else is, nothing was asked that would change it, and there is a leader that has
  // committed in its term.
  bool is_whole();
  // All have applied what the leader has committed, and hold the same keys.
  bool has_converged();
  // Within `length` each machine gets a program of semantics level 2, as a fault; then, unless one is left out,
  // is_upgraded() comes to hold.
  void plan_upgrade(Microseconds length);
  // Something is written that is another value at another level, again and again until the healing.
  void probe();
  bool leaves_upgrade_out() const;
  bool is_upgraded();
  // Sends one command to a machine; the answer goes into the trace only. False if nobody listens there.
  bool command(Machine& machine, const Request& request) {
    return command(machine, request, [](const checker::Answer&) {});
  }
  bool command(Machine& machine, const Request& request, std::function<void(const checker::Answer&)> answered);

  Machine* leader() override;
  Machine& random_machine(base::Random& random) override;
  Machine* at(const std::string& client_address) override;
  // How long a machine is down that just starts again.
  static Microseconds draw_downtime(base::Random& random);

  Network& network() { return network_; }
  Invariants& invariants() { return invariants_; }
  std::vector<std::unique_ptr<Machine>>& machines() { return machines_; }
  const std::vector<std::unique_ptr<Machine>>& machines() const { return machines_; }
  // While set, the dead stay dead.
  bool holds_down = false;

 private:
  void after_event();
  void start_later(Machine& machine);
  void start_if_due(Machine& machine);
  void invite(size_t number);
  void upgrade(Machine& machine, Fault& fault);
  // Somebody waits for the answer to a LEAVE, say, or a node is about to do what it was asked for.
  bool change_is_asked() const;

  World& world_;
  base::Random random_;
  Network network_;
  Invariants invariants_;
  std::vector<std::unique_ptr<Machine>> machines_;
  std::vector<std::shared_ptr<Connection>> operators_;   // Connections of command(), while they last.
};

}  // namespace leto::sim
