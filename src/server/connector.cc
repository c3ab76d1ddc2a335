#include "server/connector.h"

#include <cstring>
#include <string>
#include <utility>

namespace leto::server {

// Both outlive the Connector if libuv still holds them; `owner` is null then.
struct Connector::Lookup {
  uv_getaddrinfo_t request;
  Connector* owner;
};
struct Connector::Attempt {
  uv_connect_t request;
  Connector* owner;
};

Connector::Connector(Loop& loop, const Address& address, uint64_t timeout_ms, Done done)
    : loop_(loop), done_(std::move(done)), timer_(loop) {
  timer_.start(timeout_ms, [this] { finish(base::Status::error("no answer")); });
  if (add_literal(address)) {
    try_next();
  } else {
    look_up(address);
  }
}

Connector::~Connector() {
  if (lookup_ != nullptr) {
    lookup_->owner = nullptr;
    uv_cancel(reinterpret_cast<uv_req_t*>(&lookup_->request));
  }
  // Closing the handle calls the attempt back, with UV_ECANCELED.
  if (attempt_ != nullptr) attempt_->owner = nullptr;
}

bool Connector::add_literal(const Address& address) {
  const std::string host = address.host.empty() ? "127.0.0.1" : address.host;
  sockaddr_storage parsed{};
  if (uv_ip4_addr(host.c_str(), address.port, reinterpret_cast<sockaddr_in*>(&parsed)) != 0 &&
      uv_ip6_addr(host.c_str(), address.port, reinterpret_cast<sockaddr_in6*>(&parsed)) != 0) {
    return false;
  }
  addresses_.push_back(parsed);
  return true;
}

void Connector::look_up(const Address& address) {
  lookup_ = new Lookup{.request = {}, .owner = this};
  lookup_->request.data = lookup_;
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  const auto done = [](uv_getaddrinfo_t* request, int status, addrinfo* found) {
    Lookup* lookup = static_cast<Lookup*>(request->data);
    if (lookup->owner != nullptr) lookup->owner->looked_up(status, found);
    uv_freeaddrinfo(found);
    delete lookup;
  };
  const std::string port = std::to_string(address.port);
  const int code =
      uv_getaddrinfo(loop_.uv(), &lookup_->request, done, address.host.c_str(), port.c_str(), &hints);
  if (code == 0) return;
  delete std::exchange(lookup_, nullptr);
  last_error_ = code;
  try_next();
}

void Connector::looked_up(int status, const addrinfo* found) {
  lookup_ = nullptr;
  last_error_ = status;
  for (; found != nullptr && addresses_.size() < kAddressesMax; found = found->ai_next) {
    sockaddr_storage address{};
    if (found->ai_addrlen > sizeof address) continue;
    std::memcpy(&address, found->ai_addr, found->ai_addrlen);
    addresses_.push_back(address);
  }
  try_next();
}

void Connector::try_next() {
  while (next_ < addresses_.size()) {
    const sockaddr_storage& address = addresses_[next_++];
    stream_ = std::make_unique<Stream>(loop_, StreamKind::kTcp);
    attempt_ = new Attempt{.request = {}, .owner = this};
    attempt_->request.data = attempt_;
    const auto done = [](uv_connect_t* request, int status) {
      Attempt* attempt = static_cast<Attempt*>(request->data);
      Connector* owner = attempt->owner;
      delete attempt;
      if (owner != nullptr) owner->connected(status);
    };
    last_error_ = uv_tcp_connect(&attempt_->request, stream_->tcp_handle(),
                                 reinterpret_cast<const sockaddr*>(&address), done);
    if (last_error_ == 0) return;
    delete std::exchange(attempt_, nullptr);
  }
  // By the timer, so that nothing is called from within the constructor.
  timer_.start(0, [this] { finish(base::Status::error(uv_strerror(last_error_ == 0 ? UV_EAI_NONAME : last_error_))); });
}

void Connector::connected(int status) {
  attempt_ = nullptr;
  last_error_ = status;
  if (status != 0) return try_next();
  stream_->set_no_delay();
  finish(std::move(stream_));
}

void Connector::finish(base::Result<std::unique_ptr<Stream>> result) {
  timer_.stop();
  // Nothing of this object is touched afterwards: `done` may destroy it.
  const Done done = std::exchange(done_, nullptr);
  if (done) done(std::move(result));
}

}  // namespace leto::server
