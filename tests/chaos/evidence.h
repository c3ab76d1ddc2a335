// What the nodes left behind in their logs: who led in which term. Refuses to know nodes that run.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace leto::chaos {

// Who led each term, by what anybody's log says.
using Leaders = std::map<uint64_t, std::set<std::string>>;

// Adds what `text`, the log of one node, says.
void add_leaders(const std::string& text, Leaders& leaders);
// "term 7: n1 n3" for the first term that two led; empty if there is none.
std::string two_leaders(const Leaders& leaders);

// Of all bytes of the file, or nothing if it cannot be read.
std::string file_text(const std::filesystem::path& path);
// Of `text`, the last `count`.
std::string last_lines(const std::string& text, size_t count);

}  // namespace leto::chaos
