// The invariants of docs/testing.md, I1 to I11 and I13, looked at as things happen: at each message, each
// write of a log, and after each event for the machine that it concerned. Refuses to believe the core about
// disks: it asks DurableLog. Invariant: a violation is reported once, and then the run ends.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "keyspace/keyspace.h"
#include "tests/sim/machine.h"
#include "tests/sim/replicated_state.h"

namespace leto::sim {

class Invariants final : public Observer {
 public:
  explicit Invariants(World& world) : world_(world) {}
  void set_machines(const std::vector<std::unique_ptr<Machine>>& machines);

  // After each event; what is dearer only if it concerned the machine.
  void check(Machine& machine);
  // Of all machines, whatever they did.
  void check_all();
  raft::Index committed() const { return canonical_.size(); }
  // What was committed last, whoever knows it.
  const raft::Configuration& members() const { return members_; }

  void on_started(Machine& machine) override;
  void on_log_handed(Machine& machine, const std::vector<storage::LogWrite>& writes) override;
  void on_log_durable(Machine& machine, const std::vector<storage::LogWrite>& writes) override;
  void on_compacted(Machine& machine, raft::EntryId base) override;
  void on_send(Machine& machine, const raft::Message& message) override;
  void on_state(Machine& machine, const keyspace::StateHeader& header) override { states_.emplace_back(machine.number, header); }
  void on_replaced(Machine& machine) override { retired_[machine.node()] = machine.durable; }

 private:
  // What a process said last; starts anew with each process, but for `term`.
  struct Seen {
    raft::Term term = 0;
    raft::Index commit = 0;
    raft::Index applied = 0;
    raft::Index installed = 0;     // By a snapshot, last.
    raft::Index checked = 0;       // Of its log, against the canonical entries.
    raft::Role role = raft::Role::kFollower;
    raft::EntryId configured = {}; // Its log's end, when the configuration in force was looked at.
  };
  struct Committed {
    DurableEntry entry;
    raft::Term by_term = 0;        // Of the leader that committed it first.
  };
  struct Ancestor {
    raft::Term previous_term = 0;
    uint64_t hash = 0;
  };

  void check_term_and_role(Machine& machine, Seen& seen);
  void check_leader(Machine& machine);
  void check_indexes(Machine& machine, Seen& seen);
  void check_compacted(Machine& machine);
  void check_own_term(Machine& machine, const Seen& seen);
  void check_read_context(const Machine& machine, uint64_t context);
  void check_committed(Machine& machine, Seen& seen);
  void commit_first(Machine& machine, raft::Index index);
  void check_digest(Machine& machine);
  void check_matches(Machine& machine);
  bool catches_up_from_before(Machine& machine, raft::Index base) const;
  void check_process(Machine& machine);
  void check_configurations(const Machine& machine);
  void check_configuration_in_force(Machine& machine);
  void check_states();
  void note_log(raft::Index index, const DurableEntry& entry, raft::Term previous_term);
  void check_vote(Machine& machine, raft::Term term, raft::NodeId vote);
  void note_vote(const Machine& machine, raft::Term term, raft::NodeId vote);
  void check_acknowledgement(Machine& machine, const raft::Message& message, raft::Index match);
  void check_entries(const raft::Message& message, const raft::AppendEntries& append);
  const Machine* find(raft::NodeId node) const;
  // Of a node that is there, or whose disk was wiped; null: there never was one.
  const DurableLog* log_of(raft::NodeId node) const;
  void note_members(const raft::Configuration& next);
  static std::string entry_name(raft::Index index, const DurableEntry& entry);

  World& world_;
  std::vector<Machine*> machines_;
  std::vector<Seen> seen_;                                       // By machine number.
  std::map<raft::Term, raft::NodeId> leaders_;                   // I1
  std::map<std::pair<raft::Index, raft::Term>, Ancestor> log_;   // I2
  std::vector<Committed> canonical_;                             // I4; entry i + 1.
  std::map<std::pair<raft::NodeId, raft::Term>, raft::NodeId> votes_;   // I6
  std::map<raft::Index, keyspace::Digest> digests_;              // I13
  std::map<raft::Index, keyspace::Databases> databases_;         // I13; not under the digest.
  std::map<raft::NodeId, DurableLog> retired_;                   // When their disks were wiped or replaced.
  ReplicatedState replicated_;
  std::vector<std::pair<size_t, keyspace::StateHeader>> states_;   // Of machines, to be looked at.
  raft::Configuration members_;
  std::set<std::pair<raft::NodeId, uint64_t>> contexts_;         // Of reads that were asked for.
  raft::NodeId transfer_to_ = raft::kNobody;                     // Whoever was told to lead last.
  std::set<std::string> gone_;                                   // Ids that were removed once.
  std::map<raft::Index, uint16_t> levels_;                       // I13: of the semantics.
};

}  // namespace leto::sim
