// A cut: a dirty set that no longer changes. Its end is cheap too: the set is freed later, in steps.
#include <utility>

#include "base/assert.h"
#include "keyspace/dirty.h"
#include "keyspace/keyspace.h"

namespace leto::keyspace {

Cut::Cut() = default;
Cut::Cut(Cut&&) noexcept = default;

Cut& Cut::operator=(Cut&& other) noexcept {
  // The old content goes where ~Cut() puts it.
  Cut old(std::move(*this));
  header = std::move(other.header);
  dirty_ = std::move(other.dirty_);
  return *this;
}

Cut::~Cut() {
  if (dirty_ != nullptr) dirty_->graveyard->bury(std::move(dirty_->set));
}

size_t Cut::size() const { return dirty_ == nullptr ? 0 : dirty_->set->size(); }

void Cut::for_each(const std::function<void(const Change&)>& visit) const {
  if (dirty_ == nullptr) return;
  dirty_->set->for_each([&](const DirtyRecord& record) {
    Change change{.space = record.space, .key = {record.key, record.key_size}, .item = &record.item, .origin = {}};
    if (record.origin != nullptr) change.origin = std::string_view(record.origin->key, record.origin->key_size);
    visit(change);
  });
}

}  // namespace leto::keyspace
