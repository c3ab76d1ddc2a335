// Asks once, over a client port, which cluster answers there. Refuses to know what that means, and to try again:
// who does not answer is not waited for.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "raft/types.h"
#include "server/caller.h"
#include "server/loop.h"
#include "server/options.h"

namespace leto::server {

struct ClusterFound {
  std::string cluster_id;   // As INFO shows it; empty: that node is in none yet.
  std::string node_id;
  uint64_t members = 0;
  bool founder = false;     // It founded that cluster and was always alone in it; also if its program is too old to say.
};

// Whether a member of cluster `own` (as INFO shows it), which knows `members`, was started with -join to another cluster than its
// own. A member of its own that came up empty and founded one is none: who dials it ends it.
bool is_another_cluster(const ClusterFound& found, const std::string& own, const raft::Configuration& members);

class ClusterCheck final : private Caller {
 public:
  static constexpr uint64_t kTimeoutMs = 3000;
  static constexpr size_t kAnswerBytesMax = 64 << 10;

  // Asks at -join. `found` is called at most once, not from within the constructor; it may not destroy this.
  // `options` outlives this.
  using Found = std::function<void(const ClusterFound&)>;
  ClusterCheck(Loop& loop, const Options& options, Found found);
  ~ClusterCheck();

 private:
  void on_reached() override;
  void on_bytes(std::string_view bytes) override;
  void on_failure(const std::string& why) override;

  void end();

  const Options& options_;
  Found found_;
  Timer timer_;
  std::string answer_;
};

}  // namespace leto::server
