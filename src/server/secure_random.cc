#include "server/secure_random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstring>

#include "base/assert.h"

namespace leto::server {

std::string secure_random_bytes(size_t size) {
  std::string bytes(size, '\0');
  size_t filled = 0;
  while (filled < size) {
    const ssize_t got = getrandom(bytes.data() + filled, size - filled, 0);
    LETO_ASSERT(got > 0 || errno == EINTR, std::strerror(errno));
    if (got > 0) filled += static_cast<size_t>(got);
  }
  return bytes;
}

uint64_t secure_random_number() {
  uint64_t number = 0;
  while (number == 0) {
    const std::string bytes = secure_random_bytes(sizeof number);
    std::memcpy(&number, bytes.data(), sizeof number);
  }
  return number;
}

}  // namespace leto::server
