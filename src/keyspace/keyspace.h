// The keyspace: every key of every logical database, in memory; the state that commands read and change.
// Deterministic: the same changes in the same order give the same digest on every node, whatever the
// table layout. Refuses to know of logs, disks, clients and clocks.
//
// The keys of a database are in a namespace, whose number no other keys ever had or will have. FLUSHDB gives the
// database a new one, SWAPDB exchanges two: so both cost the same whatever the databases hold. The numbers are part of
// the state, the same on every node; they are not under the digest, which is of what clients can see.
//
// Invariants: digest() equals recompute_digest(); a key is in the dirty set iff it was changed since the
// last freeze(), unless its namespace is gone; values are never changed in place.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "keyspace/value.h"
#include "keyspace/watches.h"

namespace leto::keyspace {

inline constexpr uint32_t kDatabases = 16;

// An order-independent sum over all keys: 128 bits, one hash of (db, key, value, deadline, version) each.
struct Digest {
  uint64_t high = 0;
  uint64_t low = 0;
  bool operator==(const Digest&) const = default;
  std::string hex() const;  // 32 digits.
};

// Which namespace the keys of each database are in. Before the first FLUSHDB or SWAPDB, database 0 is namespace 1 and so on.
struct Databases {
  std::array<uint64_t, kDatabases> spaces = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  uint64_t next_space = kDatabases + 1;   // No namespace has or had this number or a higher one.
  bool operator==(const Databases&) const = default;
};

// Replicated state beside the keys; in the same transaction as they, and with them in a snapshot.
struct StateHeader {
  uint64_t applied_index = 0;
  uint64_t applied_term = 0;
  uint64_t cluster_time_ms = 0;    // The last stamp applied.
  uint64_t hash_seed = 0;          // Of the cluster.
  std::string configuration;       // raft::encode_configuration of the one in force at applied_index.
  uint64_t configuration_index = 0;
  Digest digest;                   // Of the keys at applied_index.
  uint64_t semantics_level = 1;    // In force behind applied_index.
  Databases databases = {};        // Set by freeze().
};

// What changed since the cut before, frozen at one applied index. Read by a worker thread while the loop
// goes on; made and destroyed on the loop thread.
class Cut {
 public:
  StateHeader header;
  // Changed keys: item.value null means erased. Iterated in any order; sort before writing. Those of a namespace that
  // is none of header.databases are to be left out: they are gone with it.
  struct Change {
    uint64_t space = 0;     // The namespace's number.
    std::string_view key;   // Lives as long as the cut.
    const Item* item = nullptr;
    // The key of the same namespace that had this very value (not its version) at the cut before, if it was only
    // renamed since. That key is a change of this cut, too, and perhaps this one. No two changes have the same origin.
    std::optional<std::string_view> origin;
  };
  size_t size() const;
  void for_each(const std::function<void(const Change&)>& visit) const;

  Cut();
  ~Cut();
  Cut(Cut&&) noexcept;
  Cut& operator=(Cut&&) noexcept;

 private:
  friend class Keyspace;
  struct Dirty;   // keyspace/dirty.h
  std::unique_ptr<Dirty> dirty_;
};

class Keyspace {
 public:
  Keyspace();
  ~Keyspace();
  // One that was moved from can only be destroyed or assigned to.
  Keyspace(Keyspace&&) noexcept;
  // What this held before is freed by on_turn(). Who watches keys of this one goes on, and every key was touched.
  Keyspace& operator=(Keyspace&&) noexcept;

  // Null if the key does not exist. Valid until the next change of the keyspace. REQUIRES: database < kDatabases.
  const Item* find(uint32_t database, std::string_view key) const;
  // Creates or replaces. REQUIRES: item.value != null.
  void set(uint32_t database, std::string_view key, Item item);
  // False if it did not exist.
  bool erase(uint32_t database, std::string_view key);
  // Moves the value and deadline of `from` to `to`, which is replaced if it exists. REQUIRES: `from` exists; they differ.
  struct Rename {
    std::string_view from, to;
    Version version;   // Of `to` afterwards.
  };
  void rename(uint32_t database, const Rename& rename);
  // Erases all keys of a database, in constant time: they are freed by on_turn().
  void flush(uint32_t database);
  // Exchanges the keys of two databases, in constant time.
  void swap(uint32_t first, uint32_t second);
  const Databases& databases() const;
  uint64_t size(uint32_t database) const;   // Keys.
  uint64_t size() const;                    // Keys of all databases.
  uint64_t expires(uint32_t database) const;  // Keys with a deadline.
  // How often a command's look-up (lookup()) found its key, and how often not. Local, not replicated.
  const Item* lookup(uint32_t database, std::string_view key) const;   // find() that is counted.
  uint64_t hits() const;
  uint64_t misses() const;
  void reset_counters();   // hits() and misses().
  // Told of every key that set() or erase() changes.
  const std::shared_ptr<Watches>& watches() const;
  size_t memory_used() const;               // Bytes, estimated.
  void for_each(uint32_t database,
                const std::function<void(std::string_view key, const Item&)>& visit) const;

  Digest digest() const;             // Kept up to date by every change.
  Digest recompute_digest() const;   // From the keys; for DEBUG DIGEST and tests.

  // Before loading: which namespace each database is. REQUIRES: no key and no change since construction; all numbers
  // differ, and are below next_space.
  void name_spaces(const Databases& databases);
  // Before loading so many keys into a database: spares their insertion the growing. REQUIRES: it has none.
  void reserve(uint32_t database, uint64_t keys);
  // While loading from the keys file: like set() of a new key, without marking it as changed. REQUIRES: the key is not
  // there; nobody looks.
  void load(uint32_t database, std::string_view key, Item item);

  // Takes the set of changed keys, O(1), and starts an empty one. Cuts are to be written in their order: a cut that
  // could not be is to be tried again, as it is, before the next one.
  Cut freeze(StateHeader header);
  // Not 0 if the next cut says anything that the one before did not: changed keys, and one more if databases were
  // flushed or swapped.
  size_t dirty_keys() const;
  size_t dirty_bytes() const;   // Key and value bytes, estimated.

  // Once per turn: a bounded step of freeing what was erased, frozen or replaced.
  void on_turn();
  // Seeds the tables of the whole process, against keys that were chosen to collide; nothing that leaves the
  // process depends on it. 0 until called. REQUIRES: no keyspace holds a key yet.
  static void seed_tables(uint64_t seed);
  // True while on_turn() has more to do.
  bool work_waits() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace leto::keyspace
