// The keyspace: sixteen dictionaries, the digest over them, and the dirty set that follows every change.
//
// An erased key keeps its node, without a value, until the dirty set that tells of it is frozen: so
// the node always knows its record and a key has one record at most. Nodes are freed by on_turn() alone.
//
// Invariants: a node without a value is in erased_ or erased_before_, once; a node's epoch is that of the
// current dirty set iff its record is in it; digest_ is the sum of the nodes' digests.
#include "keyspace/keyspace.h"

#include <deque>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/format.h"
#include "keyspace/dictionary.h"
#include "keyspace/digest.h"
#include "keyspace/dirty.h"
#include "keyspace/graveyard.h"

namespace leto::keyspace {

namespace {

// Freed in one turn: some 100 to 200 microseconds' worth.
constexpr size_t kItemsPerTurn = 1024;

size_t value_bytes(const ValueRef& value) {
  // The control block, and what a string has beyond its own 15 bytes, as malloc rounds it.
  constexpr size_t kControlBlock = 24;
  constexpr size_t kInlineBytes = 15;
  constexpr size_t kHeapHeader = 9;
  if (value == nullptr) return 0;
  const size_t size = value->string.size();
  const size_t heap = size > kInlineBytes ? (size + kHeapHeader + 15) / 16 * 16 : 0;
  return sizeof(Value) + kControlBlock + heap;
}

size_t payload_bytes(const Item& item) { return item.value == nullptr ? 0 : item.value->string.size(); }

}  // namespace

struct Keyspace::State {
  struct Database {
    std::unique_ptr<Dictionary> dictionary = std::make_unique<Dictionary>();
    uint64_t keys = 0;
    uint64_t expires = 0;
  };
  struct Erased {
    uint32_t database = 0;
    Node* node = nullptr;
  };

  Database& at(uint32_t database) {
    LETO_ASSERT(database < kDatabases, base::format("database %u", database));
    return databases[database];
  }
  Node* find_or_insert(uint32_t database, std::string_view key);
  void assign(uint32_t database, Node* node, Item item);
  void clear(uint32_t database, Node* node);
  void mark(uint32_t database, Node* node);
  void list_erased(uint32_t database, Node* node);
  void free_erased(size_t count);
  void bury_in(Graveyard& other);

  std::array<Database, kDatabases> databases;
  Digest digest;
  uint64_t hits = 0;
  uint64_t misses = 0;
  size_t memory = 0;   // Of nodes and values.
  std::unique_ptr<DirtySet> dirty = std::make_unique<DirtySet>();
  uint64_t epoch = 1;  // Of `dirty`.
  size_t dirty_bytes = 0;
  std::vector<Erased> erased;                     // In the current epoch.
  std::deque<std::vector<Erased>> erased_before;  // In earlier ones: may be freed unless they live again.
  std::shared_ptr<Graveyard> graveyard = std::make_shared<Graveyard>();
};

Node* Keyspace::State::find_or_insert(uint32_t database, std::string_view key) {
  Dictionary& dictionary = *at(database).dictionary;
  const uint32_t hash = Dictionary::hash_of(key);
  if (Node* const found = dictionary.find(key, hash)) return found;
  memory += Dictionary::node_bytes(key.size());
  return dictionary.insert(key, hash);
}

void Keyspace::State::assign(uint32_t database, Node* node, Item item) {
  LETO_ASSERT(item.value != nullptr, base::format("a key of database %u without a value", database));
  clear(database, node);
  Database& home = at(database);
  ++home.keys;
  home.expires += item.deadline_ms != kNoDeadline;
  memory += value_bytes(item.value);
  node->digest = item_digest(database, node->key(), item);
  digest = digest + node->digest;
  node->item = std::move(item);
}

void Keyspace::State::clear(uint32_t database, Node* node) {
  if (node->item.value == nullptr) return;
  Database& home = at(database);
  --home.keys;
  home.expires -= node->item.deadline_ms != kNoDeadline;
  memory -= value_bytes(node->item.value);
  digest = digest - node->digest;
  node->digest = {};
  node->item = {};
}

void Keyspace::State::mark(uint32_t database, Node* node) {
  if (node->epoch != epoch) {
    node->record = dirty->add(database, node->key());
    node->epoch = epoch;
    dirty_bytes += node->key_size;
  }
  dirty_bytes -= payload_bytes(node->record->item);
  node->record->item = node->item;
  dirty_bytes += payload_bytes(node->item);
  if (node->item.value == nullptr) list_erased(database, node);
}

void Keyspace::State::list_erased(uint32_t database, Node* node) {
  if (node->is_listed) return;
  node->is_listed = true;
  erased.push_back({database, node});
}

void Keyspace::State::free_erased(size_t count) {
  for (; count > 0 && !erased_before.empty(); --count) {
    std::vector<Erased>& oldest = erased_before.front();
    if (oldest.empty()) {
      erased_before.pop_front();
      continue;
    }
    const Erased last = oldest.back();
    oldest.pop_back();
    last.node->is_listed = false;
    if (last.node->item.value != nullptr) continue;
    if (last.node->epoch == epoch) {
      list_erased(last.database, last.node);
      continue;
    }
    memory -= Dictionary::node_bytes(last.node->key_size);
    at(last.database).dictionary->remove(last.node);
  }
}

void Keyspace::State::bury_in(Graveyard& other) {
  for (Database& database : databases) other.bury(std::move(database.dictionary));
  other.bury(std::move(dirty));
  other.adopt(std::move(graveyard));
}

Keyspace::Keyspace() : state_(std::make_unique<State>()) {}
Keyspace::~Keyspace() = default;
Keyspace::Keyspace(Keyspace&&) noexcept = default;

Keyspace& Keyspace::operator=(Keyspace&& other) noexcept {
  if (this == &other) return *this;
  const std::unique_ptr<State> old = std::move(state_);
  state_ = std::move(other.state_);
  if (old == nullptr || state_ == nullptr) return *this;
  state_->hits += old->hits;
  state_->misses += old->misses;
  old->bury_in(*state_->graveyard);
  return *this;
}

const Item* Keyspace::lookup(uint32_t database, std::string_view key) const {
  const Item* const item = find(database, key);
  ++(item == nullptr ? state_->misses : state_->hits);
  return item;
}

uint64_t Keyspace::hits() const { return state_->hits; }
uint64_t Keyspace::misses() const { return state_->misses; }

void Keyspace::reset_counters() {
  state_->hits = 0;
  state_->misses = 0;
}

const Item* Keyspace::find(uint32_t database, std::string_view key) const {
  const Node* const node = state_->at(database).dictionary->find(key);
  return node == nullptr || node->item.value == nullptr ? nullptr : &node->item;
}

void Keyspace::set(uint32_t database, std::string_view key, Item item) {
  Node* const node = state_->find_or_insert(database, key);
  state_->assign(database, node, std::move(item));
  state_->mark(database, node);
}

bool Keyspace::erase(uint32_t database, std::string_view key) {
  Node* const node = state_->at(database).dictionary->find(key);
  if (node == nullptr || node->item.value == nullptr) return false;
  state_->clear(database, node);
  state_->mark(database, node);
  return true;
}

uint64_t Keyspace::size(uint32_t database) const { return state_->at(database).keys; }

uint64_t Keyspace::size() const {
  uint64_t sum = 0;
  for (const State::Database& database : state_->databases) sum += database.keys;
  return sum;
}

uint64_t Keyspace::expires(uint32_t database) const { return state_->at(database).expires; }

size_t Keyspace::memory_used() const {
  size_t sum = state_->memory + state_->dirty->bytes();
  for (const State::Database& database : state_->databases) sum += database.dictionary->table_bytes();
  return sum;
}

void Keyspace::for_each(uint32_t database,
                        const std::function<void(std::string_view key, const Item&)>& visit) const {
  state_->at(database).dictionary->for_each([&](const Node& node) {
    if (node.item.value != nullptr) visit(node.key(), node.item);
  });
}

Digest Keyspace::digest() const { return state_->digest; }

Digest Keyspace::recompute_digest() const {
  Digest sum;
  for (uint32_t database = 0; database < kDatabases; ++database) {
    for_each(database, [&](std::string_view key, const Item& item) {
      sum = sum + item_digest(database, key, item);
    });
  }
  return sum;
}

void Keyspace::reserve(uint32_t database, uint64_t keys) { state_->at(database).dictionary->reserve(keys); }

void Keyspace::load(uint32_t database, std::string_view key, Item item) {
  state_->memory += Dictionary::node_bytes(key.size());
  state_->assign(database, state_->at(database).dictionary->insert(key, Dictionary::hash_of(key)), std::move(item));
}

Cut Keyspace::freeze(StateHeader header) {
  State& state = *state_;
  Cut cut;
  cut.header = std::move(header);
  cut.dirty_ = std::make_unique<Cut::Dirty>(Cut::Dirty{std::move(state.dirty), state.graveyard});
  state.dirty = std::make_unique<DirtySet>();
  state.dirty_bytes = 0;
  ++state.epoch;
  if (!state.erased.empty()) state.erased_before.push_back(std::exchange(state.erased, {}));
  return cut;
}

void Keyspace::restore(Cut cut) {
  if (cut.dirty_ == nullptr) return;
  cut.dirty_->set->for_each([&](const DirtyRecord& record) {
    Node* const node = state_->find_or_insert(record.database, {record.key, record.key_size});
    // What the key holds now, which is what the cut says unless a later cut has it too.
    if (node->epoch != state_->epoch) state_->mark(record.database, node);
  });
}

size_t Keyspace::dirty_keys() const { return state_->dirty->size(); }
size_t Keyspace::dirty_bytes() const { return state_->dirty_bytes; }

void Keyspace::on_turn() {
  state_->free_erased(kItemsPerTurn);
  state_->graveyard->dig(kItemsPerTurn);
}

void Keyspace::seed_tables(uint64_t seed) { Dictionary::set_hash_seed(seed); }

bool Keyspace::work_waits() const {
  return !state_->erased_before.empty() || !state_->graveyard->is_empty();
}

}  // namespace leto::keyspace
