#include "tests/sim/mover_model.h"

#include <doctest/doctest.h>

using namespace leto::sim;
using leto::checker::Answer;

namespace {

const Answer kOk{.kind = Answer::Kind::kStatus, .text = "OK"};
const Answer kNil{.kind = Answer::Kind::kNil, .text = ""};
const Answer kNoSuchKey{.kind = Answer::Kind::kError, .text = "ERR no such key"};
Answer integer(int value) { return {.kind = Answer::Kind::kInteger, .text = std::to_string(value)}; }
Answer bulk(const std::string& text) { return {.kind = Answer::Kind::kBulk, .text = text}; }

}  // namespace

TEST_CASE("mover model: what the commands do in one database") {
  MoverModel model;
  CHECK(model.answered(1, {"SET", "m1", "a"}, kOk));
  CHECK(model.answered(1, {"RENAME", "m1", "m2"}, kOk));
  CHECK(model.answered(1, {"RENAME", "m1", "m2"}, kNoSuchKey));
  CHECK(model.answered(1, {"GET", "m2"}, bulk("a")));
  CHECK(model.answered(1, {"GET", "m1"}, kNil));
  CHECK(model.answered(1, {"RENAMENX", "m2", "m2"}, integer(0)));
  CHECK(model.answered(1, {"RENAMENX", "m2", "m3"}, integer(1)));
  CHECK(model.answered(1, {"DBSIZE"}, integer(1)));
  CHECK(model.answered(1, {"DEL", "m2"}, integer(0)));
  CHECK(model.answered(1, {"DEL", "m3"}, integer(1)));
  CHECK_FALSE(model.answered(1, {"DBSIZE"}, integer(1)));
}

TEST_CASE("mover model: databases are exchanged and flushed") {
  MoverModel model;
  CHECK(model.answered(1, {"SET", "m1", "a"}, kOk));
  CHECK(model.answered(2, {"SET", "m1", "b"}, kOk));
  CHECK(model.answered(3, {"SWAPDB", "1", "2"}, kOk));
  CHECK(model.answered(1, {"GET", "m1"}, bulk("b")));
  CHECK(model.answered(1, {"FLUSHDB"}, kOk));
  CHECK(model.answered(1, {"DBSIZE"}, integer(0)));
  CHECK(model.answered(2, {"DBSIZE"}, integer(1)));
  CHECK_FALSE(model.answered(2, {"GET", "m1"}, bulk("b")));
}

TEST_CASE("mover model: a RENAME that says OK and does nothing is found") {
  MoverModel model;
  CHECK(model.answered(1, {"SET", "m1", "a"}, kOk));
  CHECK(model.answered(1, {"RENAME", "m1", "m2"}, kOk));
  CHECK_FALSE(model.answered(1, {"GET", "m2"}, kNil));
}

TEST_CASE("mover model: a write of unknown outcome happened, or happens later, once") {
  MoverModel model;
  CHECK(model.answered(1, {"SET", "m1", "a"}, kOk));
  model.unknown(1, {"DEL", "m1"});
  model.begin_connection();
  CHECK(model.answered(1, {"GET", "m1"}, bulk("a")));
  CHECK(model.answered(1, {"GET", "m1"}, kNil));
  CHECK(model.answered(1, {"SET", "m1", "b"}, kOk));
  CHECK_FALSE(model.answered(1, {"GET", "m1"}, kNil));
}

TEST_CASE("mover model: a write of unknown outcome does not happen behind a later one of its connection") {
  MoverModel model;
  model.unknown(1, {"SET", "m1", "a"});
  model.unknown(1, {"SET", "m2", "b"});
  CHECK(model.answered(1, {"GET", "m1"}, kNil));
  CHECK(model.answered(1, {"GET", "m2"}, kNil));
  model.unknown(1, {"SET", "m3", "c"});
  model.unknown(1, {"SET", "m4", "d"});
  model.begin_connection();
  CHECK(model.answered(1, {"GET", "m4"}, bulk("d")));
  CHECK(model.answered(1, {"GET", "m3"}, kNil));
  CHECK_FALSE(model.answered(1, {"GET", "m3"}, bulk("c")));
}

TEST_CASE("mover model: too many states are undecided until the next anchor") {
  MoverModel model;
  for (int i = 0; i < 12; ++i) model.unknown(1, {"SET", "m" + std::to_string(i % 8), std::to_string(i)});
  model.begin_connection();
  CHECK(model.answered(1, {"GET", "m1"}, bulk("whatever")));
  CHECK(model.undecided());
  std::vector<std::string> values(MoverModel::kDatabases * MoverModel::kKeys);
  values[1 * MoverModel::kKeys + 3] = "x";
  model.anchor(values);
  CHECK_FALSE(model.undecided());
  CHECK(model.answered(1, {"GET", "m3"}, bulk("x")));
  CHECK_FALSE(model.answered(1, {"DBSIZE"}, integer(2)));
}
