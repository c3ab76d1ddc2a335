// The digest: two independent 64-bit hashes of each key, added up as one 128-bit number. A change of any
// constant here makes every digest on disk wrong. The sum of a database is multiplied by an odd number of that database's:
// that can be taken back, and it is the same whether the sum is multiplied or each key.
#include "keyspace/digest.h"

#include "base/assert.h"
#include "base/format.h"
#include "base/hash.h"

namespace leto::keyspace {

namespace {

__extension__ typedef unsigned __int128 Wide;

Wide wide(const Digest& digest) { return Wide{digest.high} << 64 | digest.low; }

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

Digest key_digest(std::string_view key, const Item& item) {
  LETO_ASSERT(item.value != nullptr, base::format("a key of %zu bytes has no value", key.size()));
  return {.high = half(base::mix64(kHighSeed), key, item), .low = half(base::mix64(kLowSeed), key, item)};
}

Digest in_database(uint32_t database, const Digest& sum) {
  LETO_ASSERT(database < kDatabases, base::format("database %u", database));
  if (database == 0) return sum;
  const Digest factor{.high = base::mix64(kHighSeed + database), .low = base::mix64(kLowSeed + database) | 1};
  const Wide product = wide(sum) * wide(factor);
  return {.high = static_cast<uint64_t>(product >> 64), .low = static_cast<uint64_t>(product)};
}

Digest item_digest(uint32_t database, std::string_view key, const Item& item) {
  return in_database(database, key_digest(key, item));
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
