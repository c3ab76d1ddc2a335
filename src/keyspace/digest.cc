// The digest: two independent 64-bit hashes of each key, added up as one 128-bit number. A change of any
// constant here makes every digest on disk wrong.
#include "keyspace/digest.h"

#include "base/assert.h"
#include "base/format.h"
#include "base/hash.h"

namespace leto::keyspace {

namespace {

// Seeds of the two halves: the fractional parts of the roots of 7 and 11.
constexpr uint64_t kLowSeed = 0xa54ff53a5f1d36f1;
constexpr uint64_t kHighSeed = 0x510e527fade682d1;

uint64_t half(uint64_t seed, std::string_view key, const Item& item) {
  uint64_t hash = base::hash64(key, seed);
  hash = base::hash64(item.value->string, hash ^ static_cast<uint64_t>(item.value->type));
  hash = base::mix64(hash + item.deadline_ms);
  hash = base::mix64(hash + item.version.index);
  return base::mix64(hash + item.version.position);
}

}  // namespace

std::string Digest::hex() const {
  return base::format("%016llx%016llx", static_cast<unsigned long long>(high),
                      static_cast<unsigned long long>(low));
}

Digest item_digest(uint32_t database, std::string_view key, const Item& item) {
  LETO_ASSERT(item.value != nullptr, base::format("database %u", database));
  return {.high = half(base::mix64(kHighSeed + database), key, item),
          .low = half(base::mix64(kLowSeed + database), key, item)};
}

Digest operator+(const Digest& a, const Digest& b) {
  const uint64_t low = a.low + b.low;
  const uint64_t carry = low < a.low ? 1 : 0;
  return {.high = a.high + b.high + carry, .low = low};
}

Digest operator-(const Digest& a, const Digest& b) {
  const uint64_t borrow = a.low < b.low ? 1 : 0;
  return {.high = a.high - b.high - borrow, .low = a.low - b.low};
}

}  // namespace leto::keyspace
