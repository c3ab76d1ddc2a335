#include "base/node_id.h"

#include <algorithm>

namespace leto::base {

namespace {

bool is_node_id_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == ':' ||
         c == '-';
}

}  // namespace

bool is_node_id(std::string_view text) {
  return !text.empty() && text.size() <= kNodeIdBytesMax && std::all_of(text.begin(), text.end(), is_node_id_character);
}

std::string nearest_node_id(std::string_view text) {
  std::string id(text.substr(0, kNodeIdBytesMax));
  std::replace_if(id.begin(), id.end(), [](char c) { return !is_node_id_character(c); }, '_');
  return id;
}

}  // namespace leto::base
