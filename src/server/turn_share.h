// What one step of a turn takes up of requests, or entries, that waited, so that the time of the turn is looked at between: however
// many there are, those that are left go on later.
#pragma once

#include <cstddef>

namespace leto::server {

class TurnShare {
 public:
  // One request more than the bytes allow always goes.
  static constexpr size_t kRequestsMax = 256;
  static constexpr size_t kBytesMax = 512 << 10;

  bool used_up() const { return requests_ >= kRequestsMax || bytes_ >= kBytesMax; }
  void take(size_t bytes) {
    ++requests_;
    bytes_ += bytes;
  }

 private:
  size_t requests_ = 0;
  size_t bytes_ = 0;
};

}  // namespace leto::server
