// docs/operations.md says what the fields of INFO mean: all of the sections that are Leto's own must be there.
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "fake_environment.h"
#include "fake_peers.h"

namespace leto::server::test {
namespace {

std::string operations_text() {
  std::ifstream file(std::string(LETO_SOURCE_DIR) + "/docs/operations.md");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// "member2" is called memberN in the document; what is not numbered is called as it is.
std::string documented_name(const std::string& field) {
  const size_t digits = field.find_last_not_of("0123456789") + 1;
  return digits == field.size() ? field : field.substr(0, digits) + "N";
}

// Of "peer0:id=id2,role=voter": peerN, id, role. Of "term:3": term.
void add_names(const std::string& line, std::vector<std::string>& names) {
  const std::string field = line.substr(0, line.find(':'));
  names.push_back(documented_name(field));
  if (names.back() == field) return;
  std::istringstream parts(line.substr(field.size() + 1));
  for (std::string part; std::getline(parts, part, ',');) names.push_back(part.substr(0, part.find('=')));
}

std::vector<std::string> names_of(const std::string& info) {
  std::vector<std::string> names;
  std::istringstream lines(info);
  for (std::string line; std::getline(lines, line);) {
    if (line.find(':') != std::string::npos) add_names(line, names);
  }
  return names;
}

bool has(const std::vector<std::string>& names, const char* name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

TEST_CASE("docs/operations.md: has every field that INFO prints of Raft and persistence, and every part of one") {
  LeaderUnderTest test;
  const std::string document = operations_text();
  REQUIRE(!document.empty());
  const std::vector<std::string> names = names_of(test.node->info({"persistence", "raft"}));
  // A reply without others, or none at all, would prove little.
  for (const char* name : {"loading", "term", "members", "memberN", "client", "peerN", "match", "in_flight_bytes"}) {
    CHECK_MESSAGE(has(names, name), name);
  }
  for (const std::string& name : names) {
    CHECK_MESSAGE(document.find("`" + name + "`") != std::string::npos, name);
  }
}

}  // namespace
}  // namespace leto::server::test
