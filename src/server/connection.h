// One client's connection: bytes in, requests to the node, replies out. Refuses to know what a request
// means. Clients (clients.h) owns it.
//
// Invariants: requests are executed in the order of their bytes; nothing is executed after QUIT or a protocol
// error; a closed connection executes and writes nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "resp/request_parser.h"
#include "server/node.h"
#include "server/options.h"
#include "server/session.h"
#include "server/stream.h"

namespace leto::server {

class Clients;

class Connection final : private StreamUser {
 public:
  // Past so many unanswered requests, or so many bytes that the client does not fetch, nothing is read from
  // it; below half of that again.
  static constexpr size_t kOutstandingMax = 10000;
  static constexpr size_t kUnsentBytesMax = Session::kReplyBytesMax;
  // Executed before the turn's time is looked at again.
  static constexpr size_t kRequestsPerLook = 8;

  Connection(Clients& clients, std::unique_ptr<Stream> stream, SessionRef session);
  ~Connection();

  void start();
  // Sends of what the node wrote what one turn allows; enforces the output limit; ends a conversation that is over.
  void flush();
  // True if nobody has asked since the last flush(): it is to be flushed once.
  bool flush_becomes_due() { return !std::exchange(flush_due_, true); }
  // Goes on reading if it was paused and may; true if that executed requests.
  bool resume();
  // Once a second: idle time-out and the soft output limit.
  void on_second();
  // Idempotent; the object lives until the end of the turn.
  void close();
  bool closed() const { return stream_ == nullptr; }
  const SessionRef& session() const { return session_; }

 private:
  void on_bytes(std::string_view bytes) override;
  void on_end(int error) override;
  void on_written() override;
  size_t bytes_wanted() override;

  void run_requests();
  void protocol_error(const std::string& text);
  void update_limits();
  bool crowded(size_t divisor) const;
  bool overloads();
  void pause();
  // Its client is no worse than others: it goes on as soon as it is its turn.
  void pause_for_this_turn();
  size_t unsent_bytes() const;
  bool output_limit_passed(size_t unsent);
  void close_because(const char* reason);

  Clients& clients_;
  std::unique_ptr<Stream> stream_;   // Null once closed.
  SessionRef session_;
  resp::RequestParser parser_;
  bool unauthenticated_ = false;     // As the parser was told.
  bool heard_ = false;
  bool paused_ = false;
  bool only_this_turn_ = false;      // Why it is paused.
  bool flush_due_ = false;
  bool ending_ = false;              // Nothing more is read; closed once everything was answered and sent.
  uint64_t read_turn_ = 0;           // The turn in which it last wanted to read;
  size_t read_in_turn_ = 0;          // what it has read in it.
  uint64_t over_soft_since_ms_ = 0;  // 0: it is not.
};

}  // namespace leto::server
