// One connection at a time that this node dials and speaks over first. Refuses to know what is said, and how long to wait
// for an answer.
//
// Invariant: behind hang_up(), and so behind a failure that was told, nothing more is heard of the connection before.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "server/address.h"
#include "server/connector.h"
#include "server/loop.h"
#include "server/stream.h"

namespace leto::server {

class Caller : protected StreamUser {
 protected:
  ~Caller() = default;

  // Hangs up, and dials: on_reached() or on_failure() follows within `timeout_ms`, not from within this call. From
  // on_reached() on bytes may come.
  void dial(Loop& loop, const Address& address, uint64_t timeout_ms);
  // Allowed within any callback.
  void hang_up();
  // on_failure() if it cannot be sent.
  void say(std::string bytes);
  // REQUIRES: on_reached() was called, and nobody has hung up since.
  Stream& stream() { return *stream_; }
  const Stream& stream() const { return *stream_; }
  bool is_connected() const { return stream_ != nullptr; }

  virtual void on_reached() = 0;
  // It was not reached, or it broke. Whoever hears it hangs up.
  virtual void on_failure(const std::string& why) = 0;
  void on_end(int error) final;
  void on_written() override {}

 private:
  void connected(base::Result<std::unique_ptr<Stream>> result);

  std::unique_ptr<Connector> connector_;
  std::unique_ptr<Stream> stream_;
};

}  // namespace leto::server
