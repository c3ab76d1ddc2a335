// Sets of numbers as people write them: "3,7-12". Refuses to know what is numbered.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

namespace leto::sim {

using NumberSet = std::set<uint64_t>;

inline constexpr uint64_t kNumberMax = 100000;

// Adds the numbers to `numbers`. False if `text` is none such: numbers from 1 to kNumberMax or ranges of them, separated by
// commas. An empty text is the empty set.
bool parse_numbers(std::string_view text, NumberSet& numbers);

// As short as it can be said; parse_numbers() reads it back.
std::string readable(const NumberSet& numbers);

}  // namespace leto::sim
