// Frees what is buried from the back of each list. Knows nothing of why it was buried.
#include "keyspace/graveyard.h"

#include <algorithm>
#include <utility>

#include "keyspace/dictionary.h"
#include "keyspace/dirty.h"

namespace leto::keyspace {

Graveyard::Graveyard() = default;
Graveyard::~Graveyard() = default;

void Graveyard::bury(std::unique_ptr<Dictionary> dictionary) {
  if (dictionary != nullptr) dictionaries_.push_back(std::move(dictionary));
}

void Graveyard::bury(std::unique_ptr<DirtySet> set) {
  if (set != nullptr) sets_.push_back(std::move(set));
}

void Graveyard::bury(ErasedList list) {
  if (!list.empty()) lists_.push_back(std::move(list));
}

void Graveyard::adopt(std::shared_ptr<Graveyard> other) { adopted_.push_back(std::move(other)); }

void Graveyard::dig(size_t count) {
  if (!sets_.empty()) {
    if (sets_.back()->remove_some(count)) sets_.pop_back();
    return;
  }
  if (!dictionaries_.empty()) {
    if (dictionaries_.back()->remove_some(count)) dictionaries_.pop_back();
    return;
  }
  if (!lists_.empty()) {
    ErasedList& last = lists_.back();
    for (; count > 0 && !last.empty(); --count) last.pop_back();
    if (last.empty()) lists_.pop_back();
    return;
  }
  std::erase_if(adopted_, [](const auto& other) { return other.use_count() == 1 && other->is_empty(); });
  const auto waiting =
      std::find_if(adopted_.begin(), adopted_.end(), [](const auto& other) { return !other->is_empty(); });
  if (waiting != adopted_.end()) (*waiting)->dig(count);
}

bool Graveyard::is_empty() const {
  return sets_.empty() && dictionaries_.empty() && lists_.empty() &&
         std::all_of(adopted_.begin(), adopted_.end(), [](const auto& other) { return other->is_empty(); });
}

}  // namespace leto::keyspace
