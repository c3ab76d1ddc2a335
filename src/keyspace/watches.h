// Which keys somebody wants to hear of once they are touched. The keyspace tells it of every change of a key; refuses
// to know why anybody asks, and what the change was.
//
// Invariant: a flag is set at the first touch of one of its keys, and never by anything else.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace leto::keyspace {

class Watches {
 public:
  // `touched` is set at the next touch of the key, and lives until remove().
  void add(uint32_t database, std::string_view key, bool* touched);
  void remove(uint32_t database, std::string_view key, const bool* touched);
  // Tells who watches the key.
  void note(uint32_t database, std::string_view key) {
    if (!keys_.empty()) set_flags(database, key);
  }
  // Another keyspace took the place of a database's: tells who watches a key of it that exists in the one or the other.
  void note_database(uint32_t database, const std::function<bool(std::string_view key)>& exists);
  // Another state took the place of all keys: what happened to each in between is not known.
  void note_all();
  size_t size() const { return keys_.size(); }

 private:
  void set_flags(uint32_t database, std::string_view key);

  std::unordered_map<std::string, std::vector<bool*>> keys_;   // By place_of().
};

}  // namespace leto::keyspace
