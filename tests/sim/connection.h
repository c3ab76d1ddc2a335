// The client's end of one connection to a node: requests go out together and take time to arrive, replies come
// back in order. Refuses to know what is asked.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/process.h"
#include "tests/sim/resp_reader.h"

namespace leto::sim {

using Request = std::vector<std::string>;

class Connection final : public Receiver, public std::enable_shared_from_this<Connection> {
 public:
  using OnReply = std::function<void(const checker::Answer&)>;
  using OnClosed = std::function<void()>;

  // Null if nobody listens there. Both are called only while the connection is open.
  static std::shared_ptr<Connection> open(Machine& machine, OnReply on_reply, OnClosed on_closed);

  // `random` says how long they are under way, and in how many pieces.
  void send(std::vector<Request> requests, base::Random& random);
  // Nothing is heard of it any more; the node notices.
  void close();
  bool is_open() const { return open_; }
  Machine& machine() { return machine_; }

  void on_bytes(std::string bytes) override;
  void on_closed() override;

 private:
  Connection(Machine& machine, OnReply on_reply, OnClosed on_closed)
      : machine_(machine), on_reply_(std::move(on_reply)), on_closed_(std::move(on_closed)) {}
  void arrive(const std::vector<Request>& requests);

  Machine& machine_;
  uint64_t life_ = 0;
  OnReply on_reply_;
  OnClosed on_closed_;
  server::SessionRef session_;
  RespReader reader_;
  bool open_ = true;
  Microseconds last_arrival_ = 0;
};

}  // namespace leto::sim
