// A client that reads what one node has, however old (READONLY), and goes from node to node. What it is told goes
// into the history as local reads, which are judged by a weaker claim; see tests/checker/local_reads.h.
#pragma once

#include <deque>
#include <memory>

#include "tests/sim/client.h"

namespace leto::sim {

class LocalReader {
 public:
  explicit LocalReader(const ClientSetup& setup);
  ~LocalReader();

  void start() {
    stopped_ = false;
    think();
  }
  void stop() { stopped_ = true; }
  bool idle() const { return waiting_.empty(); }

 private:
  void think();
  void act();
  bool connect();
  void on_reply(const checker::Answer& answer);
  void on_closed();

  World& world_;
  Workload& workload_;
  Directory& directory_;
  const uint64_t number_;
  base::Random random_;
  std::shared_ptr<Connection> connection_;
  std::deque<Workload::Number> waiting_;
  uint64_t connections_ = 0;
  uint64_t rounds_ = 0;      // Of think(): one at a time.
  bool greeted_ = false;     // READONLY was answered.
  bool stopped_ = false;
};

}  // namespace leto::sim
