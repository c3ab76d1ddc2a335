// How the stores say that bytes of theirs are rotten, and how that is told from every other error. Pure.
#pragma once

#include <algorithm>
#include <string_view>

namespace leto::storage {

// True for a sentence about bytes that were changed or lost; false for a full disk, a newer format, a file in use and all
// else that may be different when it is tried again.
inline bool is_damage(std::string_view sentence) {
  return sentence.find(": damaged: ") != std::string_view::npos ||
         sentence.find(": not a database (") != std::string_view::npos;
}

// REQUIRES: is_damage(). Whether the file that it names first is one of keys: what is told of it is behind its whole path, which may
// have any folder in it.
inline bool is_of_keys(std::string_view sentence) {
  const std::string_view path = sentence.substr(0, std::min(sentence.find(": damaged: "), sentence.find(": not a database (")));
  const size_t slash = path.rfind('/');
  return path.substr(slash == std::string_view::npos ? 0 : slash + 1).starts_with("keys-");
}

// Of damage that only others can see: what this node promised them is gone without a trace, so that no look at its files
// finds anything wrong, now or later.
inline constexpr std::string_view kSeenByOthers = "entries that this node acknowledged are gone";
inline bool is_seen_by_others(std::string_view sentence) { return sentence.find(kSeenByOthers) != std::string_view::npos; }

}  // namespace leto::storage
