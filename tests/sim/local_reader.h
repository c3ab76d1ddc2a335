// A client that reads what one node has, however old (READONLY), and goes from node to node. What it is told goes
// into the history as local reads, which are judged by a weaker claim; see tests/checker/local_reads.h.
#pragma once

#include <deque>

#include "tests/sim/client.h"

namespace leto::sim {

class LocalReader final : public ClosedLoop {
 public:
  explicit LocalReader(const ClientSetup& setup);

  bool idle() const override { return waiting_.empty(); }

 private:
  Microseconds draw_pause() override;
  void act() override;
  void on_reply(const checker::Answer& answer) override;
  void on_closed() override;
  bool connect();

  Workload& workload_;
  const uint64_t number_;
  std::deque<Workload::Number> waiting_;
  uint64_t connections_ = 0;
  bool greeted_ = false;     // READONLY was answered.
};

}  // namespace leto::sim
