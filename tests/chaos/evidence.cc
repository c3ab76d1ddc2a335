#include "tests/chaos/evidence.h"

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "base/format.h"

namespace leto::chaos {

namespace {

constexpr std::string_view kBefore = "raft: ", kBetween = " is leader in term ";

}  // namespace

void add_leaders(const std::string& text, Leaders& leaders) {
  for (size_t found = text.find(kBetween); found != std::string::npos; found = text.find(kBetween, found + 1)) {
    const size_t begin = text.rfind(kBefore, found);
    if (begin == std::string::npos || text.find('\n', begin) < found) continue;
    const std::string who = text.substr(begin + kBefore.size(), found - begin - kBefore.size());
    if (who.find(' ') != std::string::npos) continue;
    leaders[std::strtoull(text.c_str() + found + kBetween.size(), nullptr, 10)].insert(who);
  }
}

std::string two_leaders(const Leaders& leaders) {
  for (const auto& [term, who] : leaders) {
    if (who.size() < 2) continue;
    std::string text = base::format("term %llu:", static_cast<unsigned long long>(term));
    for (const std::string& id : who) text += " " + id;
    return text;
  }
  return {};
}

std::string file_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string last_lines(const std::string& text, size_t count) {
  size_t begin = text.size();
  for (size_t left = count + 1; left > 0 && begin != 0 && begin != std::string::npos; --left) begin = text.rfind('\n', begin - 1);
  return begin == std::string::npos ? text : text.substr(begin == 0 ? 0 : begin + 1);
}

}  // namespace leto::chaos
