// The client's end of one connection to a node, by the real protocol over a real socket: requests go out together,
// replies come back in order. Says the password first. Refuses to know what is asked.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/chaos/stream.h"
#include "tests/sim/resp_reader.h"

namespace leto::chaos {

using Request = std::vector<std::string>;

inline constexpr const char* kPassword = "chaos";

struct ConnectionHooks {
  std::function<void()> on_ready = nullptr;   // The node took the password: it is there.
  std::function<void(const checker::Answer&)> on_reply;
  // The connection ended, or never came about.
  std::function<void()> on_closed;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // Never null; where nobody is, on_closed comes in one of the next rounds.
  static std::shared_ptr<Connection> open(Loop& loop, const Address& address, ConnectionHooks hooks);

  void send(const std::vector<Request>& requests);
  // Nothing is heard of it any more.
  void close();
  bool is_open() const { return open_; }
  // If not, nothing of what was sent has left.
  bool was_connected() const { return connected_; }

 private:
  explicit Connection(Loop& loop, ConnectionHooks hooks) : loop_(loop), hooks_(std::move(hooks)) {}
  void begin(const Address& address);
  void on_bytes(std::string_view bytes);
  void on_answer(const checker::Answer& answer);
  void lost();

  Loop& loop_;
  ConnectionHooks hooks_;
  std::shared_ptr<Stream> stream_;
  sim::RespReader reader_;
  bool open_ = true;
  bool connected_ = false;
  bool ready_ = false;
};

// In the protocol's bytes.
std::string written(const Request& request);

// One request over a connection of its own; nothing if no answer came in time. REQUIRES: as Loop::run_until().
std::optional<checker::Answer> ask(Loop& loop, const Address& address, const Request& request, Milliseconds patience);

}  // namespace leto::chaos
