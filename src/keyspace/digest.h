// What one key adds to the digest. Also for those who compute a digest from a file or another node's keys.
// The values are written to disk and compared between versions: they never change.
#pragma once

#include <cstdint>
#include <string_view>

#include "keyspace/keyspace.h"

namespace leto::keyspace {

// 128 bits of (database, key, type, value bytes, deadline, version). REQUIRES: item.value != null.
Digest item_digest(uint32_t database, std::string_view key, const Item& item);

// Sums modulo 2^128, so that order does not matter and every key can be taken out again.
Digest operator+(const Digest& a, const Digest& b);
Digest operator-(const Digest& a, const Digest& b);

}  // namespace leto::keyspace
