#include "keyspace/watches.h"

#include <algorithm>

#include "base/assert.h"
#include "base/coding.h"
#include "base/format.h"

namespace leto::keyspace {
namespace {

std::string place_of(uint32_t database, std::string_view key) {
  std::string place;
  place.reserve(sizeof database + key.size());
  base::put_u32(place, database);
  place.append(key);
  return place;
}

}  // namespace

void Watches::add(uint32_t database, std::string_view key, bool* touched) {
  keys_[place_of(database, key)].push_back(touched);
}

void Watches::remove(uint32_t database, std::string_view key, const bool* touched) {
  const auto found = keys_.find(place_of(database, key));
  LETO_ASSERT(found != keys_.end(), base::format("nobody watches a key of %zu bytes", key.size()));
  std::vector<bool*>& flags = found->second;
  const auto flag = std::ranges::find(flags, touched);
  LETO_ASSERT(flag != flags.end(), base::format("%zu others watch that key", flags.size()));
  flags.erase(flag);
  if (flags.empty()) keys_.erase(found);
}

void Watches::set_flags(uint32_t database, std::string_view key) {
  const auto found = keys_.find(place_of(database, key));
  if (found == keys_.end()) return;
  for (bool* const touched : found->second) *touched = true;
}

void Watches::note_database(uint32_t database, const std::function<bool(std::string_view key)>& exists) {
  for (const auto& [place, flags] : keys_) {
    base::Reader reader(place);
    if (reader.u32() != database || !exists(std::string_view(place).substr(sizeof database))) continue;
    for (bool* const touched : flags) *touched = true;
  }
}

void Watches::note_all() {
  for (const auto& [place, flags] : keys_) {
    for (bool* const touched : flags) *touched = true;
  }
}

}  // namespace leto::keyspace
