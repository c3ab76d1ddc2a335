// Asks once, over a client port, which cluster answers there. Refuses to know what that means, and to try again:
// who does not answer is not waited for.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "server/connector.h"
#include "server/loop.h"
#include "server/options.h"
#include "server/stream.h"

namespace leto::server {

struct ClusterFound {
  std::string cluster_id;   // As INFO shows it; empty: that node is in none yet.
  std::string node_id;
  uint64_t members = 0;
};

class ClusterCheck final : private StreamUser {
 public:
  static constexpr uint64_t kTimeoutMs = 3000;
  static constexpr size_t kAnswerBytesMax = 64 << 10;

  // Asks at -join. `found` is called at most once, not from within the constructor; it may not destroy this.
  // `options` outlives this.
  using Found = std::function<void(const ClusterFound&)>;
  ClusterCheck(Loop& loop, const Options& options, Found found);
  ~ClusterCheck();

 private:
  void on_bytes(std::string_view bytes) override;
  void on_end(int error) override;
  void on_written() override {}

  void connected(base::Result<std::unique_ptr<Stream>> result);
  void give_up(const std::string& why);
  void end();

  const Options& options_;
  Found found_;
  Timer timer_;
  std::unique_ptr<Connector> connector_;
  std::unique_ptr<Stream> stream_;
  std::string answer_;
};

}  // namespace leto::server
