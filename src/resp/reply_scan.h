// Finds where replies end, without reading what is in them. Refuses to know what they mean. Bytes that are no reply,
// and cut ones, are told as such.
#pragma once

#include <string_view>
#include <vector>

namespace leto::resp {

// The elements of a reply that is one whole array and nothing behind it, as views into it; false if it is none.
bool split_array(std::string_view reply, std::vector<std::string_view>& elements);

}  // namespace leto::resp
