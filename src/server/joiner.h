// -join, and the way back after a repair: asks a node of a cluster, over its client port, to take this one in; finds the
// leader by ROLE; tries again until it is done, or until it is clear that another node has its id. Refuses to know how the
// cluster takes a node in.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "server/caller.h"
#include "server/loop.h"
#include "server/options.h"
#include "storage/log_store.h"

namespace leto::server {

class Joiner final : private Caller {
 public:
  static constexpr uint64_t kConnectTimeoutMs = 2000;
  static constexpr uint64_t kAnswerTimeoutMsMin = 10000;   // Of JOIN: until the change is committed.
  static constexpr uint64_t kAnswerSlackMs = 1000;
  static constexpr uint64_t kRetryMsMin = 1000;
  static constexpr uint64_t kRetryMsMax = 5000;
  static constexpr size_t kAnswerBytesMax = 64 << 10;
  static constexpr size_t kToldMax = 64;
  static constexpr int kRedirectsMax = 8;               // In a row, before it starts over at a target.
  // Who died is missed, and so replaced, after two. Whose id is that of a live node for so many, without another answer
  // between, is a copy of it: it would wait for the day on which the other one is away.
  static constexpr uint64_t kGiveUpElections = 10;

  // For how long the answer to JOIN is awaited. Who has no leader says so after its request-timeout, which is taken to be this
  // node's.
  static uint64_t answer_timeout_ms(const Options& options);

  struct Wish {
    storage::Identity identity;
    std::vector<Address> targets;   // One is tried after the other, from the first on. REQUIRES: at least one.
  };
  struct Hooks {
    // The host under which this machine reached the cluster: before JOIN is sent.
    std::function<void(const std::string& host)> reached;
    std::function<void()> joined;
    // Another node has the id, and lives: why, in one sentence. Nothing is tried any more.
    std::function<void(const std::string& why)> gave_up;
  };

  // `options` outlives this. Begins at once.
  Joiner(Loop& loop, const Options& options, Wish wish, Hooks hooks);
  ~Joiner();

  // Somebody was asked to take this node in, and has not answered yet.
  bool asks() const { return step_ == Step::kJoin && is_connected(); }

 private:
  enum class Step : uint8_t { kAuth, kJoin, kRole };

  void on_reached() override;
  void on_bytes(std::string_view bytes) override;
  void on_failure(const std::string& why) override;

  void attempt();
  void send(Step step);
  std::string request(Step step) const;
  void on_answer(std::string_view line);
  // False if the answer is not whole yet.
  bool on_role();
  void go_to(const Address& leader);
  // Of an answer; notes since when it is the only one.
  bool is_taken_for_long(bool taken);
  // Until it gives up if nothing else is answered.
  uint64_t patience_left_us() const;
  void try_again(const std::string& text);
  void end();

  Loop& loop_;
  const Options& options_;
  const storage::Identity identity_;
  const std::vector<Address> targets_;
  size_t turn_ = 0;             // Of targets_.
  Hooks hooks_;
  Timer timer_;
  Address target_;
  std::string raft_address_;
  std::string client_address_;
  Step step_ = Step::kAuth;
  std::string answer_;
  int redirects_ = 0;
  uint64_t retry_ms_ = kRetryMsMin;
  uint64_t taken_since_us_ = 0; // Since when every answer was that another node has the id; 0: it was not the last one.
  std::set<std::string> told_;  // Failures that were logged.
};

}  // namespace leto::server
