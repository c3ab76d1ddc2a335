// The hash table of one logical database: key bytes to Item. It grows and shrinks by one bucket at a time
// (linear hashing), so that there is never a second table to move to: no insertion and no removal touches more
// than kBucketsPerStep buckets beside the key's own, at any size. Refuses to know of values, versions and flushes.
//
// Invariants: bucket_count() is in [half_, 2 * half_]; a node with hash h is in the bucket h mod 2 * half_ if
// there is such a bucket, else in h mod half_; nodes never move in memory. Private to keyspace/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "keyspace/keyspace.h"

namespace leto::keyspace {

struct DirtyRecord;   // keyspace/dirty.h

// One key. The key's bytes follow the struct in the same allocation.
struct Node {
  Node* next = nullptr;
  DirtyRecord* record = nullptr;   // Of the dirty set of `epoch`; dangling when that one was frozen.
  uint64_t epoch = 0;              // The dirty set that `record` is in; 0: none.
  Digest digest;                   // What this key adds to the digest; zero while it has no value.
  Item item;                       // value null: erased, kept until the dirty set that says so is frozen.
  uint32_t hash = 0;
  uint32_t key_size : 31 = 0;
  bool is_listed : 1 = false;      // In a list of erased nodes: must not be freed but by its owner.

  std::string_view key() const { return {reinterpret_cast<const char*>(this + 1), key_size}; }
};

class Dictionary {
 public:
  Dictionary() = default;
  ~Dictionary();
  Dictionary(const Dictionary&) = delete;
  Dictionary& operator=(const Dictionary&) = delete;

  // Null if there is none.
  Node* find(std::string_view key) const { return find(key, hash_of(key)); }
  // REQUIRES: hash == hash_of(key).
  Node* find(std::string_view key, uint32_t hash) const;
  // A new node without a value. REQUIRES: no such key; hash == hash_of(key); key shorter than 2 GiB.
  Node* insert(std::string_view key, uint32_t hash);
  // Makes room for so many nodes at once, so that inserting them splits nothing. REQUIRES: there is no node.
  void reserve(size_t nodes);
  // Takes the node out and frees it. REQUIRES: it is in this dictionary.
  void remove(Node* node);
  // Frees up to `count` nodes, or passes so many empty buckets; true if nothing is left. Once called,
  // nothing else may be called but this and the destructor.
  bool remove_some(size_t count);

  size_t node_count() const { return node_count_; }
  size_t bucket_count() const { return bucket_count_; }
  // Of buckets; nodes are not counted.
  size_t table_bytes() const { return segments_.size() * (sizeof(Segment) + sizeof(void*)); }
  // Buckets touched since construction, for tests of the bound.
  uint64_t buckets_touched() const { return buckets_touched_; }

  template <typename Visit>
  void for_each(Visit visit) const;

  static uint32_t hash_of(std::string_view key);
  // Seeds hash_of() of the whole process, against keys chosen to collide; 0 until called. Nothing that
  // leaves the process depends on it. REQUIRES: no dictionary has a node.
  static void set_hash_seed(uint64_t seed);

  static size_t node_bytes(size_t key_size);

  // One node fewer is four buckets too many: so the table shrinks as fast as its nodes go.
  static constexpr size_t kJoinsPerRemoval = 5;
  // Splitting or joining one bucket touches two.
  static constexpr size_t kBucketsPerStep = 2 * kJoinsPerRemoval;

 private:
  static constexpr size_t kSegmentBuckets = 4096;
  static constexpr size_t kBucketsMin = 16;
  using Bucket = Node*;
  struct Segment {
    Bucket buckets[kSegmentBuckets] = {};
  };

  size_t index_of(uint32_t hash) const;
  Bucket& bucket(size_t index) const {
    return segments_[index / kSegmentBuckets]->buckets[index % kSegmentBuckets];
  }
  void split_one();
  void join_one();

  std::vector<std::unique_ptr<Segment>> segments_;
  size_t half_ = kBucketsMin;
  size_t bucket_count_ = 0;
  size_t node_count_ = 0;
  uint64_t buckets_touched_ = 0;
};

template <typename Visit>
void Dictionary::for_each(Visit visit) const {
  for (size_t i = 0; i < bucket_count_; ++i) {
    for (const Node* node = bucket(i); node != nullptr; node = node->next) visit(*node);
  }
}

}  // namespace leto::keyspace
