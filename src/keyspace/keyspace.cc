// The keyspace: sixteen namespaces of one dictionary each, and the dirty set that follows every change.
//
// An erased key keeps its node, without a value, until the dirty set that tells of it is frozen: so
// the node always knows its record and a key has one record at most. Nodes are freed by on_turn() alone.
//
// FLUSHDB hands the dictionary to the graveyard with all its nodes; what is said of them elsewhere, in the dirty set and
// the lists of erased nodes, names the namespace, and is passed over once that is gone.
//
// Invariants: a node without a value is in `erased`, once; a node's epoch is that of the
// current dirty set iff its record is in it; a namespace's digest is the sum of its nodes'; `names` are the numbers of
// `spaces`.
#include "keyspace/keyspace.h"

#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "keyspace/dictionary.h"
#include "keyspace/digest.h"
#include "keyspace/dirty.h"
#include "keyspace/erased.h"
#include "keyspace/graveyard.h"

namespace leto::keyspace {

namespace {

// Freed in one turn: some 50 microseconds' worth, on a slow machine ten times that;
constexpr size_t kItemsPerTurn = 256;
// and as many as were changed, which leave one record each, and one node at most: so what waits does not grow while there are no more
// than so many changes in a turn. What a larger transaction leaves goes in the turns behind it.
constexpr size_t kChangesPerTurn = 1024;

using Number = unsigned long long;

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

// The keys of one database, as long as they are its keys.
struct Space {
  uint64_t number = 0;
  std::unique_ptr<Dictionary> dictionary = std::make_unique<Dictionary>();
  uint64_t keys = 0;
  uint64_t expires = 0;
  size_t memory = 0;   // Of nodes and values.
  Digest digest;       // Sum of the nodes' digests.

  Node* find_or_insert(std::string_view key);
  void assign(Node* node, Item item);
  void clear(Node* node);
};

Node* Space::find_or_insert(std::string_view key) {
  const uint32_t hash = Dictionary::hash_of(key);
  if (Node* const found = dictionary->find(key, hash)) return found;
  memory += Dictionary::node_bytes(key.size());
  return dictionary->insert(key, hash);
}

void Space::assign(Node* node, Item item) {
  LETO_ASSERT(item.value != nullptr, base::format("a key of namespace %llu without a value", Number{number}));
  clear(node);
  ++keys;
  expires += item.deadline_ms != kNoDeadline;
  memory += value_bytes(item.value);
  node->digest = key_digest(node->key(), item);
  digest = digest + node->digest;
  node->item = std::move(item);
}

void Space::clear(Node* node) {
  if (node->item.value == nullptr) return;
  --keys;
  expires -= node->item.deadline_ms != kNoDeadline;
  memory -= value_bytes(node->item.value);
  digest = digest - node->digest;
  node->digest = {};
  node->item = {};
}

}  // namespace

struct Keyspace::State {
  State() {
    for (uint32_t database = 0; database < kDatabases; ++database) spaces[database].number = names.spaces[database];
  }
  Space& at(uint32_t database) {
    LETO_ASSERT(database < kDatabases, base::format("database %u", database));
    return spaces[database];
  }
  Space* find_space(uint64_t number);
  void name(uint32_t database, uint64_t number);
  void mark(const Space& space, Node* node);
  void list_erased(const Space& space, Node* node);
  void free_erased(size_t count);
  void bury_in(Graveyard& other);

  std::array<Space, kDatabases> spaces;   // By database.
  Databases names;                        // Their numbers.
  bool names_changed = false;             // Since the last cut.
  uint64_t hits = 0;
  uint64_t misses = 0;
  std::shared_ptr<Watches> watches = std::make_shared<Watches>();
  std::unique_ptr<DirtySet> dirty = std::make_unique<DirtySet>();
  uint64_t epoch = 1;  // Of `dirty`.
  size_t dirty_bytes = 0;
  size_t changes = 0;         // As many as these are to be freed, too.
  ErasedList erased;
  size_t erased_before = 0;   // The first so many are of earlier epochs: may be freed unless they live again.
  std::shared_ptr<Graveyard> graveyard = std::make_shared<Graveyard>();
};

// Null once it was flushed.
Space* Keyspace::State::find_space(uint64_t number) {
  for (Space& space : spaces) {
    if (space.number == number) return &space;
  }
  return nullptr;
}

void Keyspace::State::mark(const Space& space, Node* node) {
  ++changes;
  if (node->epoch != epoch) {
    node->record = dirty->add(space.number, node->key());
    node->epoch = epoch;
    dirty_bytes += node->key_size;
  }
  dirty_bytes -= payload_bytes(node->record->item);
  node->record->item = node->item;
  node->record->origin = nullptr;
  dirty_bytes += payload_bytes(node->item);
  if (node->item.value == nullptr) list_erased(space, node);
}

void Keyspace::State::list_erased(const Space& space, Node* node) {
  if (node->is_listed) return;
  node->is_listed = true;
  erased.push_back({space.number, node});
}

void Keyspace::State::free_erased(size_t count) {
  for (; count > 0 && erased_before > 0; --count) {
    const Erased first = erased.front();
    erased.pop_front();
    --erased_before;
    Space* const space = find_space(first.space);
    if (space == nullptr) continue;
    first.node->is_listed = false;
    if (first.node->item.value != nullptr) continue;
    if (first.node->epoch == epoch) {
      list_erased(*space, first.node);
      continue;
    }
    space->memory -= Dictionary::node_bytes(first.node->key_size);
    space->dictionary->remove(first.node);
  }
}

void Keyspace::State::bury_in(Graveyard& other) {
  for (Space& space : spaces) other.bury(std::move(space.dictionary));
  other.bury(std::move(dirty));
  other.bury(std::move(erased));
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
  state_->watches = std::move(old->watches);
  state_->watches->note_all();
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

const std::shared_ptr<Watches>& Keyspace::watches() const { return state_->watches; }

void Keyspace::reset_counters() {
  state_->hits = 0;
  state_->misses = 0;
}

const Item* Keyspace::find(uint32_t database, std::string_view key) const {
  const Node* const node = state_->at(database).dictionary->find(key);
  return node == nullptr || node->item.value == nullptr ? nullptr : &node->item;
}

void Keyspace::set(uint32_t database, std::string_view key, Item item) {
  Space& space = state_->at(database);
  Node* const node = space.find_or_insert(key);
  space.assign(node, std::move(item));
  state_->mark(space, node);
  state_->watches->note(database, key);
}

bool Keyspace::erase(uint32_t database, std::string_view key) {
  Space& space = state_->at(database);
  Node* const node = space.dictionary->find(key);
  if (node == nullptr || node->item.value == nullptr) return false;
  space.clear(node);
  state_->mark(space, node);
  state_->watches->note(database, key);
  return true;
}

void Keyspace::rename(uint32_t database, const Rename& rename) {
  Space& space = state_->at(database);
  Node* const source = space.dictionary->find(rename.from);
  LETO_ASSERT(source != nullptr && source->item.value != nullptr && rename.from != rename.to,
              base::format("a rename within database %u: %d", database, source != nullptr));
  Item item = source->item;
  item.version = rename.version;
  // Unless it was changed since the cut before, that one has the value under this key.
  const bool changed = source->epoch == state_->epoch;
  const DirtyRecord* const origin = changed ? source->record->origin : nullptr;
  space.clear(source);
  state_->mark(space, source);
  Node* const target = space.find_or_insert(rename.to);
  space.assign(target, std::move(item));
  state_->mark(space, target);
  target->record->origin = changed ? origin : source->record;
  state_->watches->note(database, rename.from);
  state_->watches->note(database, rename.to);
}

void Keyspace::State::name(uint32_t database, uint64_t number) {
  spaces[database].number = names.spaces[database] = number;
  names_changed = true;
}

// Whether it has keys is the same on every node; whether erased ones are still remembered is not.
void Keyspace::flush(uint32_t database) {
  Space& space = state_->at(database);
  if (space.keys == 0) return;
  state_->watches->note_database(database, [&](std::string_view key) { return find(database, key) != nullptr; });
  state_->graveyard->bury(std::move(space.dictionary));
  space = Space();
  state_->name(database, state_->names.next_space++);
}

void Keyspace::swap(uint32_t first, uint32_t second) {
  Space& left = state_->at(first);
  Space& right = state_->at(second);
  if (first == second) return;
  for (const uint32_t database : {first, second}) {
    state_->watches->note_database(database, [&](std::string_view key) {
      return find(first, key) != nullptr || find(second, key) != nullptr;
    });
  }
  std::swap(left, right);
  state_->name(first, left.number);
  state_->name(second, right.number);
}

const Databases& Keyspace::databases() const { return state_->names; }

uint64_t Keyspace::size(uint32_t database) const { return state_->at(database).keys; }

uint64_t Keyspace::size() const {
  uint64_t sum = 0;
  for (const Space& space : state_->spaces) sum += space.keys;
  return sum;
}

uint64_t Keyspace::expires(uint32_t database) const { return state_->at(database).expires; }

size_t Keyspace::memory_used() const {
  size_t sum = state_->dirty->bytes();
  for (const Space& space : state_->spaces) sum += space.memory + space.dictionary->table_bytes();
  return sum;
}

void Keyspace::for_each(uint32_t database,
                        const std::function<void(std::string_view key, const Item&)>& visit) const {
  state_->at(database).dictionary->for_each([&](const Node& node) {
    if (node.item.value != nullptr) visit(node.key(), node.item);
  });
}

Digest Keyspace::digest() const {
  Digest sum;
  for (uint32_t database = 0; database < kDatabases; ++database) {
    sum = sum + in_database(database, state_->spaces[database].digest);
  }
  return sum;
}

Digest Keyspace::recompute_digest() const {
  Digest sum;
  for (uint32_t database = 0; database < kDatabases; ++database) {
    for_each(database, [&](std::string_view key, const Item& item) {
      sum = sum + item_digest(database, key, item);
    });
  }
  return sum;
}

void Keyspace::name_spaces(const Databases& databases) {
  State& state = *state_;
  LETO_ASSERT(size() == 0 && state.dirty->size() == 0 && !state.names_changed,
              base::format("namespaces are named among %llu keys", Number{size()}));
  for (uint32_t database = 0; database < kDatabases; ++database) {
    LETO_ASSERT(databases.spaces[database] != 0 && databases.spaces[database] < databases.next_space,
                base::format("namespace %llu of %llu", Number{databases.spaces[database]}, Number{databases.next_space}));
    state.spaces[database].number = databases.spaces[database];
  }
  state.names = databases;
}

void Keyspace::reserve(uint32_t database, uint64_t keys) { state_->at(database).dictionary->reserve(keys); }

void Keyspace::load(uint32_t database, std::string_view key, Item item) {
  Space& space = state_->at(database);
  space.memory += Dictionary::node_bytes(key.size());
  space.assign(space.dictionary->insert(key, Dictionary::hash_of(key)), std::move(item));
}

Cut Keyspace::freeze(StateHeader header) {
  State& state = *state_;
  Cut cut;
  cut.header = std::move(header);
  cut.header.databases = state.names;
  cut.dirty_ = std::make_unique<Cut::Dirty>(Cut::Dirty{.set = std::move(state.dirty), .graveyard = state.graveyard});
  state.names_changed = false;
  state.dirty = std::make_unique<DirtySet>();
  state.dirty_bytes = 0;
  ++state.epoch;
  state.erased_before = state.erased.size();
  return cut;
}

size_t Keyspace::dirty_keys() const { return state_->dirty->size() + state_->names_changed; }
size_t Keyspace::dirty_bytes() const { return state_->dirty_bytes; }

void Keyspace::on_turn() {
  const size_t changes = std::min(state_->changes, kChangesPerTurn);
  state_->changes -= changes;
  state_->free_erased(kItemsPerTurn + changes);
  state_->graveyard->dig(kItemsPerTurn + changes);
}

void Keyspace::seed_tables(uint64_t seed) { Dictionary::set_hash_seed(seed); }

bool Keyspace::work_waits() const {
  return state_->erased_before > 0 || !state_->graveyard->is_empty();
}

}  // namespace leto::keyspace
