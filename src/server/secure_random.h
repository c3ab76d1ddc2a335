// Random bytes that nobody can guess, from the kernel: identities, secrets, nonces, seeds. Everything that
// has to be repeatable takes base::Random instead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace leto::server {

std::string secure_random_bytes(size_t size);
// Never 0.
uint64_t secure_random_number();

}  // namespace leto::server
