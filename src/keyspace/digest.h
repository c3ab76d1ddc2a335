// What one key adds to the digest. Also for those who compute a digest from a file or another node's keys.
// The values are written to disk and compared between versions: they never change.
#pragma once

#include <cstdint>
#include <string_view>

#include "keyspace/keyspace.h"

namespace leto::keyspace {

// 128 bits of (key, type, value bytes, deadline, version). REQUIRES: item.value != null.
Digest key_digest(std::string_view key, const Item& item);
// What keys add whose key_digest()s have this sum, as keys of that database: of database 0 the sum itself. A database
// that becomes another one (SWAPDB) costs one of these, however many keys it has. REQUIRES: database < kDatabases.
Digest in_database(uint32_t database, const Digest& sum);
// Both in one, of one key.
Digest item_digest(uint32_t database, std::string_view key, const Item& item);

// Sums modulo 2^128, so that order does not matter and every key can be taken out again.
Digest operator+(const Digest& a, const Digest& b);
Digest operator-(const Digest& a, const Digest& b);

}  // namespace leto::keyspace
