#include "resp/reply_scan.h"

#include <doctest/doctest.h>

#include <string>

namespace leto::resp {
namespace {

std::vector<std::string> elements_of(std::string_view reply) {
  std::vector<std::string_view> elements;
  if (!split_array(reply, elements)) return {"(none)"};
  return {elements.begin(), elements.end()};
}

using Texts = std::vector<std::string>;

TEST_CASE("reply scan: an array is split into its elements, whatever they are") {
  CHECK(elements_of("*0\r\n").empty());
  CHECK(elements_of("*3\r\n+OK\r\n:-5\r\n-ERR no\r\n") == Texts{"+OK\r\n", ":-5\r\n", "-ERR no\r\n"});
  CHECK(elements_of("*2\r\n$4\r\n\r\n:1\r\n$-1\r\n") == Texts{"$4\r\n\r\n:1\r\n", "$-1\r\n"});
  CHECK(elements_of("*2\r\n*2\r\n$1\r\na\r\n*0\r\n*-1\r\n") == Texts{"*2\r\n$1\r\na\r\n*0\r\n", "*-1\r\n"});
  CHECK(elements_of("*4\r\n%1\r\n+a\r\n~1\r\n:1\r\n_\r\n#t\r\n=5\r\ntxt:x\r\n") ==
        Texts{"%1\r\n+a\r\n~1\r\n:1\r\n", "_\r\n", "#t\r\n", "=5\r\ntxt:x\r\n"});
}

TEST_CASE("reply scan: what is no whole array is told, at every place where it may be cut") {
  const std::string whole = "*3\r\n$3\r\nabc\r\n%1\r\n+a\r\n:1\r\n*1\r\n_\r\n";
  REQUIRE(elements_of(whole).size() == 3);
  for (size_t size = 0; size < whole.size(); ++size) CHECK(elements_of(whole.substr(0, size)) == Texts{"(none)"});
  for (const char* bytes : {"", "+OK\r\n", "*-1\r\n", "*x\r\n", "*1\r\n", "*1\r\n\r\n", "*0\r\n+OK\r\n", "*1\r\n$x\r\n", "*1\r\n$-2\r\n",
                            "*9223372036854775807\r\n", "*1\r\n%9223372036854775807\r\n", "*1\r\n$99999999999999999999\r\n"}) {
    CAPTURE(bytes);
    CHECK(elements_of(bytes) == Texts{"(none)"});
  }
}

}  // namespace
}  // namespace leto::resp
