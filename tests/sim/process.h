// One life of a node's process: the real stores and the real node on a simulated disk, network and clock.
// It takes a turn whenever something came in, as the libuv loop does. Refuses to know faults.
//
// Invariant: a process that is dying says nothing more.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/node.h"
#include "server/tick.h"
#include "tests/sim/machine.h"
#include "tests/sim/sim_disk.h"

namespace leto::sim {

// The client's end of one connection. Outlives the process.
class Receiver {
 public:
  virtual ~Receiver() = default;
  virtual void on_bytes(std::string bytes) = 0;   // In order.
  virtual void on_closed() = 0;                   // After the last bytes.
};

class Process final : private server::Waker, private server::Clock, private server::Network {
 public:
  explicit Process(Machine& machine);
  ~Process() override;

  // Makes the data directory, and leaves it closed.
  base::Status found(const std::string& cluster_id, const raft::Configuration& configuration);
  // Opens the stores and loads; then begin() makes the node.
  base::Status open();
  // Whose directory it is, and what neither file shows alone, as the real server looks at it. Then the machine ends.
  bool finds_damage();
  void begin();
  bool ready() const { return node_ != nullptr; }
  server::Node& node() { return *node_; }
  const server::Node& node() const { return *node_; }
  const storage::Identity& identity() const { return identity_; }
  const std::string& cluster_id() const { return identity_.cluster_id; }

  // A turn is to be taken soon.
  void wake() override;
  void shut_down();
  // The process is gone: clients notice.
  void abandon();
  uint16_t semantics_level() const { return semantics_level_; }
  uint16_t semantics_supported() const { return semantics_supported_; }
  // Whether it let itself be taken into `cluster_id`; then it is a node of that cluster from the next event on.
  base::Status adopt(const storage::Identity& by);

  // Clients. The receiver hears of replies until the connection is closed.
  server::SessionRef connect(const std::shared_ptr<Receiver>& receiver);
  void disconnect(const server::SessionRef& session);
  void execute(const server::SessionRef& session, const std::vector<std::string>& request);

 private:
  // server::Waker
  void wake_after_us(uint64_t microseconds) override;
  // server::Clock
  uint64_t monotonic_us() override { return machine_.clock.monotonic_us(); }
  uint64_t wall_ms() override { return machine_.clock.wall_ms(); }
  // server::Network
  void send(raft::Message message) override;
  bool send_forward(const peer::Forward& forward) override;
  void send_forward_reply(const peer::ForwardReply& reply) override;
  void set_members(const raft::Configuration& in_force, const raft::Configuration& committed) override;
  void adopt(AdoptionWish wish, Dialed done) override;
  Abilities abilities(raft::NodeId node) const override;
  void set_semantics_level(uint16_t level) override { semantics_level_ = level; }

  struct Line {
    std::shared_ptr<Receiver> receiver;
    server::SessionRef session;
    Microseconds last_arrival = 0;
    std::deque<std::vector<std::string>> waiting = {};   // While the session holds.
  };
  base::Status open_log();
  base::Status open_keys();
  void check_recovered();
  void check_tail();
  void judge_suspect(DurableLog found);
  server::NodeStart found_there() const;
  void make_node();
  void tick();
  void tick_now();
  void turn();
  void note_back_pressure();
  void send(peer::Encoded encoded);
  void deliver_output();
  void run_waiting(Line& line);
  bool disks_are_quiet() const;
  void on_unusable(const std::string& why);
  void close_line(const Line& line);
  void end_cleanly();

  Machine& machine_;
  const uint16_t semantics_supported_;
  storage::Identity identity_;
  std::unique_ptr<storage::LogStore> log_store_;
  std::unique_ptr<storage::KeyStore> key_store_;   // Until the node is made.
  std::unique_ptr<SimLogDisk> log_disk_;
  SimJobs keys_jobs_, leaving_jobs_, coming_jobs_;
  std::unique_ptr<SimKeysDisk> keys_disk_;
  std::unique_ptr<SimSnapshotDisk> snapshot_disk_;
  std::unique_ptr<server::Node> node_;
  std::map<uint64_t, Line> lines_;   // By client id.
  uint16_t semantics_level_ = 1;   // Who supports less is refused.
  uint64_t faults_at_start_ = 0;     // Of the disk, before this process.
  server::Ticks ticks_;
  bool turn_waits_ = false;
  Microseconds wish_ = 0;   // When the earliest delayed turn is due; 0: none.
};

}  // namespace leto::sim
