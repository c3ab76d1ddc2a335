// Runs a story: commands to a cluster, and what is expected to happen, in one text file.
//
//   # Why this is told.
//   propose 1 hello
//   deliver 1->2
//   ----
//   1 writes append [1/2 'hello']
//
// A block is some commands, `----`, what happened, and an empty line. LETO_UPDATE_TRACES=1 writes what
// happened into the file instead of comparing. Commands (A, B are node numbers):
//
//   options NAME VALUE ...            before nodes: election heartbeat window append lease lag uncommitted cache
//   nodes N                           voters 1..N, old enough to vote
//   joiner A                          a node that knows of no cluster
//   founder A                         a cluster of one that was just made
//   tick A|all [COUNT]                timeout A (ticks until it asks for votes)
//   elect A                           times it out and delivers everything
//   run COUNT                         ticks all and delivers all, so often
//   deliver [A->B|A->*|*->B] [COUNT]  drop [A->B]   duplicate A->B
//   overtake A->B                     the newest message of the link becomes the oldest
//   settle                            delivers until nothing is on its way
//   cut A->B   partition 1 2 | 3      heal
//   disk A manual|auto                sync A [COUNT]    stall-disk A on|off
//   restart A (what was queued is durable)   lose-unsynced A   crash A   start A   lost-tail A
//   lose A INDEX                      it dies, entries from INDEX on are gone from its disk, it starts
//   lose-keys A                       it dies, its keys are gone and its log is not, it starts
//   compact A INDEX (its keys are flushed first)   chunk-bytes A SIZE   fail-snapshot A B
//   keys A manual|auto                what A receives waits for `install A`, and the switch for `loaded A`
//   install A   loaded A
//   propose A TEXT   bulk A SIZE   read A CONTEXT   transfer A B   unreachable A B
//   change A voters 1 2 [learners 3] [observers 4]
//   replace A OLD NEW                 NEW takes the id of OLD
//   show [A|log A|peers A]   network
//
// `quietly COMMAND` tells only roles, applied entries, answered reads and all of snapshots; elect, run and settle
// always do.
#pragma once

#include <functional>
#include <map>
#include <sstream>
#include <string>

#include "raft/harness.h"

namespace leto::raft_test {

class Trace {
 public:
  Trace();
  // Carries out one command line and returns what happened, a line each.
  std::string run(const std::string& line);

 private:
  using Arguments = std::istringstream;
  using Command = std::function<std::string(Arguments&)>;

  void add_set_up();
  void add_time();
  void add_messages();
  void add_links();
  void add_disk_and_life();
  void add_snapshots();
  void add_clients();
  void add_views();
  Cluster& cluster();
  std::string show(NodeId id);
  std::string show_log(NodeId id);
  std::string show_peers(NodeId id);

  raft::Options options_;
  std::unique_ptr<Cluster> cluster_;
  std::map<std::string, Command> commands_;
};

// The file's text with what happened put under each block.
std::string run_trace(const std::string& text);

}  // namespace leto::raft_test
