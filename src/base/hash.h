// A fast, seeded 64-bit hash of bytes. The same bytes and seed give the same value on every machine
// and in every version: the state digest and element order depend on it. Not cryptographic.
#pragma once

#include <cstdint>
#include <string_view>

namespace leto::base {

uint64_t hash64(std::string_view bytes, uint64_t seed);
// Mixes one integer (a bijection with good avalanche).
uint64_t mix64(uint64_t value);

}  // namespace leto::base
