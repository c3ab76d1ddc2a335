#include "base/status.h"

#include <doctest/doctest.h>

#include <string>

namespace leto::base {
namespace {

TEST_CASE("status: a default one is success and an error keeps its sentence") {
  CHECK(Status().is_ok());
  CHECK(Status::ok().is_ok());
  const Status status = Status::error("the disk is full");
  CHECK_FALSE(status.is_ok());
  CHECK(status.text() == "the disk is full");
}

TEST_CASE("result: holds a value or the reason why not") {
  Result<std::string> good(std::string("value"));
  REQUIRE(good.is_ok());
  CHECK(good.value() == "value");
  Result<std::string> bad(Status::error("no"));
  REQUIRE_FALSE(bad.is_ok());
  CHECK(bad.status().text() == "no");
  CHECK(bad.take_status().text() == "no");
}

}  // namespace
}  // namespace leto::base
