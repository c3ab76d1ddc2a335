// Entries of a log for the tests of raft.db: made, written, and read back as one line of text.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/format.h"
#include "storage/log_store.h"
#include "tests/storage/support.h"

namespace leto::storage {

using Entries = std::vector<raft::Entry>;

inline constexpr size_t kNoLimit = 1 << 30;

inline LogWrite append(Entries entries) {
  return {.hard_state = {}, .truncate_from = {}, .append = std::move(entries)};
}

// Entries [first, last] of one term, payload "value N".
inline Entries run(raft::Term term, raft::Index first, raft::Index last) {
  Entries entries;
  for (raft::Index i = first; i <= last; ++i) {
    entries.push_back(make_entry(term, i, "value " + std::to_string(i)));
  }
  return entries;
}

inline void must_write(LogStore& store, const std::vector<LogWrite>& writes) {
  REQUIRE(store.write(writes) == WriteResult::kDurable);
}

inline std::string text_of(LogStore& store, raft::Index from, raft::Index last, size_t max_bytes = kNoLimit) {
  base::Result<Entries> entries = store.read(from, last, max_bytes);
  if (!entries.is_ok()) return entries.status().text();
  std::string text;
  for (const raft::Entry& entry : entries.value()) {
    text += base::format("%llu.%llu=%s ", static_cast<unsigned long long>(entry.id.term),
                         static_cast<unsigned long long>(entry.id.index), entry.payload->c_str());
  }
  return text;
}

}  // namespace leto::storage
