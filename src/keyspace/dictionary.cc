// Linear hashing (Litwin 1980) over segments of buckets. Bounds, not averages: no step here is linear in
// the number of keys, except the destructor; for a large dictionary use remove_some() before it.
#include "keyspace/dictionary.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/assert.h"
#include "base/format.h"
#include "base/hash.h"

namespace leto::keyspace {

namespace {

uint64_t g_hash_seed = 0;

// Hashes have 32 bits: more buckets than that would stay empty.
constexpr size_t kBucketsMax = size_t{1} << 32;
// Shrinks when fewer than one bucket in this many has a node.
constexpr size_t kSparse = 4;

void free_node(Node* node) {
  node->~Node();
  std::free(node);
}

}  // namespace

Dictionary::~Dictionary() {
  while (!remove_some(SIZE_MAX)) {
  }
}

void Dictionary::set_hash_seed(uint64_t seed) { g_hash_seed = seed; }

uint32_t Dictionary::hash_of(std::string_view key) {
  return static_cast<uint32_t>(base::hash64(key, g_hash_seed));
}

size_t Dictionary::node_bytes(size_t key_size) {
  // malloc's header, and its rounding to 16.
  constexpr size_t kHeader = 8;
  return (sizeof(Node) + key_size + kHeader + 15) / 16 * 16;
}

size_t Dictionary::index_of(uint32_t hash) const {
  const size_t index = hash & (2 * half_ - 1);
  return index < bucket_count_ ? index : index - half_;
}

Node* Dictionary::find(std::string_view key, uint32_t hash) const {
  if (bucket_count_ == 0) return nullptr;
  Node* node = bucket(index_of(hash));
  while (node != nullptr && (node->hash != hash || node->key() != key)) node = node->next;
  return node;
}

Node* Dictionary::insert(std::string_view key, uint32_t hash) {
  LETO_ASSERT(key.size() < (size_t{1} << 31), base::format("a key of %zu bytes", key.size()));
  if (bucket_count_ == 0) {
    if (segments_.empty()) segments_.push_back(std::make_unique<Segment>());
    bucket_count_ = kBucketsMin;
  }
  void* const memory = std::malloc(sizeof(Node) + key.size());
  LETO_ASSERT(memory != nullptr, base::format("no memory for a key of %zu bytes", key.size()));
  Node* const node = new (memory) Node;
  node->hash = hash;
  node->key_size = static_cast<uint32_t>(key.size()) & 0x7fffffffu;
  if (!key.empty()) std::memcpy(static_cast<void*>(node + 1), key.data(), key.size());
  Bucket& home = bucket(index_of(hash));
  node->next = home;
  home = node;
  ++buckets_touched_;
  ++node_count_;
  if (node_count_ > bucket_count_ && bucket_count_ < kBucketsMax) split_one();
  return node;
}

void Dictionary::reserve(size_t nodes) {
  LETO_ASSERT(node_count_ == 0, base::format("room is made among %zu nodes", node_count_));
  if (nodes <= bucket_count_ || nodes <= kBucketsMin) return;
  bucket_count_ = std::min(nodes, kBucketsMax);
  half_ = std::bit_floor(bucket_count_);
  while (segments_.size() * kSegmentBuckets < bucket_count_) segments_.push_back(std::make_unique<Segment>());
}

void Dictionary::remove(Node* node) {
  Bucket* link = &bucket(index_of(node->hash));
  while (*link != node) {
    LETO_ASSERT(*link != nullptr, base::format("hash %u is not in its bucket", node->hash));
    link = &(*link)->next;
  }
  *link = node->next;
  free_node(node);
  ++buckets_touched_;
  --node_count_;
  for (size_t i = 0; i < kJoinsPerRemoval && node_count_ * kSparse < bucket_count_; ++i) join_one();
}

bool Dictionary::remove_some(size_t count) {
  while (count > 0 && bucket_count_ > 0) {
    --count;
    Bucket& last = bucket(bucket_count_ - 1);
    if (last == nullptr) {
      --bucket_count_;
      continue;
    }
    Node* const node = last;
    last = node->next;
    free_node(node);
    --node_count_;
  }
  if (bucket_count_ > 0) return false;
  // One 32 KiB segment at a time: its owner calls again.
  if (!segments_.empty()) segments_.pop_back();
  return segments_.empty();
}

void Dictionary::split_one() {
  const size_t source = bucket_count_ - half_;
  const size_t target = bucket_count_;
  if (target / kSegmentBuckets == segments_.size()) segments_.push_back(std::make_unique<Segment>());
  Bucket* link = &bucket(source);
  Bucket& moved = bucket(target);
  moved = nullptr;
  while (*link != nullptr) {
    Node* const node = *link;
    if ((node->hash & (2 * half_ - 1)) != target) {
      link = &node->next;
      continue;
    }
    *link = node->next;
    node->next = moved;
    moved = node;
  }
  buckets_touched_ += 2;
  ++bucket_count_;
  if (bucket_count_ == 2 * half_) half_ = bucket_count_;
}

void Dictionary::join_one() {
  if (bucket_count_ <= kBucketsMin) return;
  if (bucket_count_ == half_) half_ /= 2;
  const size_t source = bucket_count_ - 1;
  Bucket* link = &bucket(source - half_);
  while (*link != nullptr) link = &(*link)->next;
  *link = bucket(source);
  bucket(source) = nullptr;
  buckets_touched_ += 2;
  --bucket_count_;
  // One spare segment, so that a size that goes up and down at its edge does not allocate each time.
  const size_t needed = (bucket_count_ + kSegmentBuckets - 1) / kSegmentBuckets;
  if (segments_.size() > needed + 1) segments_.pop_back();
}

}  // namespace leto::keyspace
