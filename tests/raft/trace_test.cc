// Every story in testdata, compared with what is expected there.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "raft/trace.h"

namespace leto::raft_test {
namespace {

std::vector<std::filesystem::path> stories() {
  std::vector<std::filesystem::path> paths;
  const std::filesystem::path beside = std::filesystem::path(__FILE__).parent_path() / "testdata";
  const std::filesystem::path folder = std::filesystem::exists(beside) ? beside : "tests/raft/testdata";
  for (const auto& file : std::filesystem::directory_iterator(folder))
    if (file.path().extension() == ".txt") paths.push_back(file.path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// The first line in which they differ, for the person who has to understand it.
std::string difference(const std::string& expected, const std::string& actual) {
  std::istringstream expected_lines(expected);
  std::istringstream actual_lines(actual);
  std::string expected_line;
  std::string actual_line;
  for (int number = 1;; ++number) {
    const bool has_expected = static_cast<bool>(std::getline(expected_lines, expected_line));
    const bool has_actual = static_cast<bool>(std::getline(actual_lines, actual_line));
    if (!has_expected && !has_actual) return "";
    if (has_expected != has_actual || expected_line != actual_line)
      return "line " + std::to_string(number) + "\n  expected " + expected_line + "\n  happened " + actual_line;
  }
}

TEST_CASE("every scripted trace goes as it is written") {
  const bool update = std::getenv("LETO_UPDATE_TRACES") != nullptr;
  const std::vector<std::filesystem::path> paths = stories();
  REQUIRE(paths.size() >= 20);
  for (const std::filesystem::path& path : paths) {
    const std::string expected = read_file(path);
    const std::string actual = run_trace(expected);
    INFO(path.filename().string());
    for (const char* mistake : {"VIOLATION", "unknown command", "promised output", "never becomes quiet"})
      CHECK_MESSAGE(actual.find(mistake) == std::string::npos, mistake);
    if (update) {
      std::ofstream(path, std::ios::binary) << actual;
    } else {
      const bool is_as_written = expected == actual;
      CHECK_MESSAGE(is_as_written, difference(expected, actual));
    }
  }
}

}  // namespace
}  // namespace leto::raft_test
