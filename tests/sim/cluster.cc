#include "tests/sim/cluster.h"

#include <algorithm>
#include <utility>

#include "server/membership.h"
#include "tests/sim/process.h"

namespace leto::sim {

namespace {

constexpr uint64_t kStream = 0x636c7573;
constexpr Microseconds kRestartLow = 20 * kMillisecond, kRestartHigh = 3 * kSecond;
constexpr Microseconds kInviteAgain = 100 * kMillisecond;
constexpr Microseconds kProbesHigh = 300 * kMillisecond;
constexpr uint64_t kEventsBetweenLooks = 64;
constexpr size_t kClusterIdBytes = 16;

}  // namespace

Cluster::Cluster(World& world)
    : world_(world), random_(world.stream(kStream)), network_(world), invariants_(world) {
  for (size_t number = 1; number <= world.parameters.machines; ++number) {
    machines_.push_back(std::make_unique<Machine>(
        MachineSetup{.world = world, .network = network_, .observer = invariants_, .number = number}));
  }
  network_.set_machines(machines_);
  invariants_.set_machines(machines_);
}

void Cluster::begin() {
  const std::string cluster_id(kClusterIdBytes, 'c');
  raft::Configuration everyone;
  for (const auto& machine : machines_) everyone.members.push_back(machine->member());
  std::sort(everyone.members.begin(), everyone.members.end(),
            [](const raft::Member& a, const raft::Member& b) { return a.node < b.node; });
  for (const auto& machine : machines_) {
    const bool founder = machine->number == 1;
    if (!world_.parameters.founded_by_join) {
      machine->found(cluster_id, everyone);
    } else {
      machine->found(founder ? cluster_id : "", {.members = {machine->member()}});
    }
    machine->start();
  }
  if (world_.parameters.founded_by_join && machines_.size() > 1) invite(2);
}

// As a node with -join does: asks again until it is a member, one after the other.
void Cluster::invite(size_t number) {
  if (number > machines_.size() || world_.healing) return;
  Machine& guest = *machines_[number - 1];
  Machine* host = leader();
  const bool is_in = host != nullptr && host->process()->node().raft().committed_configuration().is_voter(guest.node());
  if (is_in) return invite(number + 1);
  if (host != nullptr) command(*host, {"JOIN", guest.raft_address, guest.id});
  world_.scheduler.after(kInviteAgain, [this, number] { invite(number); });
}

// --- Events ------------------------------------------------------------------------------------------

bool Cluster::run(Microseconds length, const std::function<bool()>& done) {
  const Microseconds end = world_.scheduler.now() + length;
  while (!world_.failed()) {
    if (done()) return true;
    if (world_.scheduler.now() >= end || !world_.scheduler.run_next()) return false;
    after_event();
  }
  return false;
}

void Cluster::after_event() {
  for (const auto& machine : machines_) {
    invariants_.check(*machine);
    if (!machine->dying()) continue;
    if (machine->bury()) network_.connections_lost(*machine);
    start_later(*machine);
  }
  if (world_.scheduler.events_run() % kEventsBetweenLooks == 0) invariants_.check_all();
}

Microseconds Cluster::draw_downtime(base::Random& random) { return random.between(kRestartLow, kRestartHigh); }

void Cluster::start_later(Machine& machine) {
  Microseconds delay = std::exchange(machine.restart_delay, 0);
  if (delay == 0) delay = world_.healing ? random_.between(kRestartLow, 4 * kRestartLow) : draw_downtime(random_);
  machine.down_until = world_.scheduler.now() + delay;
  world_.scheduler.at(machine.down_until, [this, &machine] { start_if_due(machine); });
}

void Cluster::start_if_due(Machine& machine) {
  const bool due = world_.scheduler.now() >= machine.down_until;
  if (due && !holds_down && !machine.has_process() && !machine.dying()) machine.start();
}

void Cluster::start_all() {
  for (const auto& machine : machines_) {
    machine->down_until = 0;
    start_if_due(*machine);
  }
}

// --- Upgrade -----------------------------------------------------------------------------------------

// One machine after the other, in any order, at any time: some at once.
void Cluster::plan_upgrade(Microseconds length) {
  for (const auto& machine : machines_) {
    const Microseconds at = random_.chance(1, 4) ? 0 : random_.below(length);
    world_.faults.add(Reached::kUpgraded, at, [this, &machine = *machine](Fault& fault) { upgrade(machine, fault); });
  }
}

void Cluster::upgrade(Machine& machine, Fault& fault) {
  world_.note(fault, Reached::kUpgraded, machine.number);
  machine.semantics_supported = 2;
  if (machine.process() != nullptr && fault.random.chance(1, 2)) return machine.shut_down();
  if (machine.has_process()) machine.fall(Death::kKill, draw_downtime(fault.random), fault);
}

bool Cluster::leaves_upgrade_out() const {
  return std::any_of(machines_.begin(), machines_.end(), [](const auto& each) { return each->semantics_supported < 2; });
}

void Cluster::probe() {
  if (Machine* first = leader()) command(*first, {"SET", "probe", "@level@"});
  if (!world_.healing) world_.scheduler.after(random_.below(kProbesHigh), [this] { probe(); });
}

bool Cluster::is_upgraded() {
  const bool upgraded = std::all_of(machines_.begin(), machines_.end(), [](const auto& each) {
    return each->ready() && each->process()->node().semantics_level() == 2;
  });
  if (upgraded) world_.coverage.note(Reached::kSemanticsRaised);
  return upgraded;
}

// --- Looking -----------------------------------------------------------------------------------------

bool Cluster::all_ready() const {
  return std::all_of(machines_.begin(), machines_.end(), [](const auto& each) { return each->ready(); });
}

bool Cluster::anyone_leaves() const {
  return std::any_of(machines_.begin(), machines_.end(), [](const auto& each) {
    return each->ready() && each->process()->node().shutting_down();
  });
}

Machine* Cluster::leader() {
  Machine* best = nullptr;
  for (const auto& machine : machines_) {
    if (machine->process() == nullptr || machine->dying()) continue;
    const raft::Raft& raft = machine->process()->node().raft();
    if (raft.role() != raft::Role::kLeader) continue;
    if (best == nullptr || best->process()->node().raft().term() < raft.term()) best = machine.get();
  }
  return best;
}

Machine& Cluster::random_machine(base::Random& random) { return *machines_[random.below(machines_.size())]; }

Machine* Cluster::at(const std::string& client_address) {
  const auto found = std::find_if(machines_.begin(), machines_.end(),
                                  [&client_address](const auto& each) { return each->client_address == client_address; });
  return found == machines_.end() ? nullptr : found->get();
}

bool Cluster::is_led() {
  Machine* first = leader();
  return first != nullptr && all_ready() && first->process()->node().raft().leads_and_committed_in_term();
}

bool Cluster::commit_needs_snapshot() {
  Machine* first = leader();
  if (first == nullptr) return false;
  const raft::Raft& raft = first->process()->node().raft();
  return !raft.configuration().has_quorum([&](raft::NodeId node) {
    return std::any_of(machines_.begin(), machines_.end(), [&](const auto& each) {
      return each->node() == node && each->durable.last() + 1 >= raft.first_index();
    });
  });
}

bool Cluster::change_is_asked() const {
  return std::any_of(operators_.begin(), operators_.end(), [](const auto& each) { return each->is_open(); }) ||
         std::any_of(machines_.begin(), machines_.end(), [](const auto& each) {
           return each->process() != nullptr && each->process()->node().membership().busy();
         });
}

bool Cluster::is_whole() {
  if (!is_led() || change_is_asked()) return false;
  const raft::Raft& raft = leader()->process()->node().raft();
  const raft::Configuration& members = raft.committed_configuration();
  return !members.is_joint() && members == raft.configuration() && members.members.size() == machines_.size() &&
         std::all_of(machines_.begin(), machines_.end(),
                     [&members](const auto& each) { return members.is_voter(each->node()); });
}

bool Cluster::has_converged() {
  Machine* first = leader();
  if (first == nullptr || !all_ready()) return false;
  const server::Node& node = first->process()->node();
  return std::all_of(machines_.begin(), machines_.end(), [&node](const auto& each) {
    const server::Node& other = each->process()->node();
    // One that is still paused is soon behind again.
    return !each->paused() && other.raft().applied_index() == node.raft().last().index &&
           other.keyspace().digest() == node.keyspace().digest();
  });
}

bool Cluster::command(Machine& machine, const Request& request,
                      std::function<void(const checker::Answer&)> answered) {
  std::erase_if(operators_, [](const auto& each) { return !each->is_open(); });
  // Once the answer is there the connection closes itself.
  auto held = std::make_shared<std::weak_ptr<Connection>>();
  const size_t number = machine.number;
  std::shared_ptr<Connection> connection = Connection::open(
      machine,
      [this, held, number, answered = std::move(answered)](const checker::Answer& answer) {
        world_.trace.text(number, "answers: " + checker::readable(answer));
        answered(answer);
        if (const auto self = held->lock()) self->close();
      },
      [] {});
  if (!connection) return false;
  std::string text;
  for (const std::string& word : request) text += " " + word;
  world_.trace.text(number, "is asked:" + text);
  *held = connection;
  connection->send({request}, random_);
  operators_.push_back(std::move(connection));
  return true;
}

}  // namespace leto::sim
