#include "server/caller.h"

#include <utility>

namespace leto::server {

void Caller::dial(Loop& loop, const Address& address, uint64_t timeout_ms) {
  hang_up();
  connector_ = std::make_unique<Connector>(
      loop, address, timeout_ms,
      [this](base::Result<std::unique_ptr<Stream>> result) { connected(std::move(result)); });
}

void Caller::connected(base::Result<std::unique_ptr<Stream>> result) {
  connector_.reset();
  if (!result.is_ok()) return on_failure(result.status().text());
  stream_ = std::move(result.value());
  stream_->set_user(this);
  stream_->start_reading();
  // Else it has failed already.
  if (stream_ != nullptr) on_reached();
}

void Caller::say(std::string bytes) {
  if (const int code = stream_->write(bytes); code != 0) on_failure(uv_strerror(code));
}

void Caller::hang_up() {
  stream_.reset();
  connector_.reset();
}

void Caller::on_end(int error) { on_failure(error == UV_EOF ? "it closed the connection" : uv_strerror(error)); }

}  // namespace leto::server
