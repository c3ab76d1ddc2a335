// The process of one node: what main() runs. Opens the directory and the ports, puts libuv and SQLite under
// the node, ends it all in order. Refuses to know commands and Raft.
//
// Invariants: no port is open before the stores are; the node is destroyed only when no job of its disks is
// under way; an error at start leaves everything as it was.
#pragma once

#include <uv.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "base/heap.h"
#include "base/status.h"
#include "server/clients.h"
#include "server/cluster_check.h"
#include "server/joiner.h"
#include "server/keys_file.h"
#include "server/listener.h"
#include "server/log_file.h"
#include "server/loop.h"
#include "server/node.h"
#include "server/options.h"
#include "server/peers.h"
#include "server/snapshot_files.h"
#include "server/start.h"
#include "server/uv_disk.h"
#include "server/uv_jobs.h"
#include "server/worker.h"

namespace leto::server {

class Server {
 public:
  explicit Server(Options options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Until the node is shut down. The exit status; an error at start is one sentence on stderr.
  int run();

 private:
  // For the values of some turns.
  static constexpr size_t kHeapRoomBytes = 8 << 20;

  base::Status start();
  base::Result<storage::DirectoryLock> take_directory_and_ports();
  base::Status bind_ports();
  base::Status open_log();
  void say_hello() const;
  void end_on_broken_disk(const std::string& directory) const;
  void raise_file_limit();
  base::Status listen();
  base::Status listen_to_clients();
  void listen_to_clients_if_due();
  PeersSelf own_self(const std::string& host) const;

  void build_node(NodeStart start);
  void note_removal_of_node(const std::string& sentence);
  base::Status adopt(const peer::Adopt& adoption);
  // A founder without data has nothing to lose: it joins, as it would have with an empty directory.
  void join_after_founding();
  void start_joining();
  void on_joined();
  void say_join_is_ignored() const;
  void start_checking();
  void on_cluster_found(const ClusterFound& found);
  // What a cluster of its own has is in its keys; not known before it has replayed its log.
  bool has_replayed() const;
  // Once it is known what this node has.
  void judge_other_cluster();

  void on_turn();
  // So that a turn meets no page that has to be fetched first.
  void keep_heap_room();
  void on_tick();
  void on_second();
  void watch_signals();
  void unwatch_signals();
  void on_missed(const peer::Hello& hello);
  // It cannot be where it is, or who it is: says why on stderr, too, and ends with status 1.
  void end_as_misplaced(const std::string& text);
  void on_signal(int number);
  void shut_down(const std::string& why);
  // The node cannot go on; why is said on stderr and in the log.
  void on_unusable(const std::string& why);
  // No job of a disk is under way or waits.
  bool disks_are_quiet() const;
  // Ends the loop once replies and messages have left and the disks are quiet.
  void try_to_finish();
  int close_down();

  Options options_;
  std::unique_ptr<LogFile> log_file_;
  Loop loop_;
  Listener client_listener_;
  Listener peer_listener_;
  std::array<uv_signal_t, 2> signals_{};
  bool signals_watched_ = false;
  uint64_t clients_planned_ = 0;   // That files were asked for.
  bool signalled_ = false;     // The next signal ends the process at once.
  bool unusable_ = false;
  int exit_status_ = 1;        // If it is unusable.
  bool listens_to_clients_ = false;
  bool misplaced_ = false;     // It belongs to another cluster than the one it found, or founded, or its id does.

  OpenedDirectory directory_;
  std::unique_ptr<UvLogDisk> log_disk_;
  UvJobs keys_jobs_;
  UvJobs leaving_jobs_;    // Of snapshots that leave,
  UvJobs coming_jobs_;     // and that come.
  Worker heap_worker_;
  base::HeapRoom heap_room_{kHeapRoomBytes};
  std::unique_ptr<KeysFile> keys_file_;
  std::unique_ptr<SnapshotFiles> snapshot_files_;
  Clients clients_;
  std::unique_ptr<Peers> peers_;
  std::unique_ptr<Node> node_;
  std::unique_ptr<Joiner> joiner_;
  std::unique_ptr<ClusterCheck> check_;
  std::string other_cluster_;  // Answers at -join; empty: none that was not judged yet.

  uint64_t ticks_ = 0;
  bool node_finished_ = false;
  uint64_t send_deadline_us_ = 0;      // Of replies and messages, once the node is done.
  uint64_t finish_deadline_us_ = 0;    // Of everything.
};

}  // namespace leto::server
