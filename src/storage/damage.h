// How the stores say that bytes of theirs are rotten, and how that is told from every other error. Pure.
#pragma once

#include <string_view>

namespace leto::storage {

// True for a sentence about bytes that were changed or lost; false for a full disk, a newer format, a file in use and all
// else that may be different when it is tried again.
inline bool is_damage(std::string_view sentence) {
  return sentence.find(": damaged: ") != std::string_view::npos ||
         sentence.find(": not a database (") != std::string_view::npos;
}

}  // namespace leto::storage
