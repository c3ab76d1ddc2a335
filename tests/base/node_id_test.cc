#include "base/node_id.h"

#include <doctest/doctest.h>

#include <string>

namespace leto::base {

TEST_CASE("an id has letters, digits and four more characters, and 64 at most") {
  const std::string allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-";
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    CHECK_MESSAGE(is_node_id(std::string("x") + c) == (allowed.find(c) != std::string::npos), byte);
  }
  CHECK_FALSE(is_node_id(""));
  CHECK(is_node_id(std::string(kNodeIdBytesMax, 'i')));
  CHECK_FALSE(is_node_id(std::string(kNodeIdBytesMax + 1, 'i')));
}

TEST_CASE("the id nearest to what is none has _ for what may not be") {
  CHECK(nearest_node_id("x@y z") == "x_y_z");
  CHECK(nearest_node_id("a-b.c:d_1") == "a-b.c:d_1");
  CHECK(nearest_node_id(std::string(100, '/')) == std::string(kNodeIdBytesMax, '_'));
}

}  // namespace leto::base
