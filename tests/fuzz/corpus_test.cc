// What the fuzzers once found worth keeping is taken without a crash and without more memory than it justifies, each time.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/fuzz/targets.h"

namespace leto::fuzz {
namespace {

std::vector<std::filesystem::path> files_of(const char* target) {
  std::vector<std::filesystem::path> files;
  const std::filesystem::path folder = std::filesystem::path(LETO_SOURCE_DIR) / "tests/fuzz/corpus" / target;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

TEST_CASE("the corpora of the fuzzers are taken without a crash and within their bounds of memory, whole and cut short") {
  for (const Target& target : targets()) {
    const std::vector<std::filesystem::path> files = files_of(target.name);
    CAPTURE(target.name);
    CHECK(!files.empty());
    for (const std::filesystem::path& path : files) {
      std::ifstream file(path, std::ios::binary);
      const std::string bytes((std::istreambuf_iterator<char>(file)), {});
      run_within_bound(target, bytes);
      run_within_bound(target, std::string_view(bytes).substr(0, bytes.size() / 2));
    }
  }
}

}  // namespace
}  // namespace leto::fuzz
