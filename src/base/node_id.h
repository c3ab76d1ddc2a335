// What a node may be called: the one rule for command line, leto.conf, JOIN, the peers' messages and what a directory says.
// INFO and the notes of a directory are lines that people's tools take apart, so it is narrow.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace leto::base {

inline constexpr size_t kNodeIdBytesMax = 64;
// The rule as a person is told it.
inline constexpr const char* kNodeIdRule = "letters, digits, '_', '.', ':' and '-', 64 at most";

// 1 to kNodeIdBytesMax characters of [A-Za-z0-9_.:-].
bool is_node_id(std::string_view text);

// `text` with '_' for each character that an id may not have, cut off at kNodeIdBytesMax: an id, unless `text` is empty.
std::string nearest_node_id(std::string_view text);

}  // namespace leto::base
