#include "resp/request_parser.h"

#include <doctest/doctest.h>
#include <malloc.h>

#include "base/random.h"
#include "tests/fuzz/allocations.h"

namespace leto::resp {
namespace {

using Request = std::vector<std::string>;

// Everything a parser made of its bytes.
struct Parsed {
  std::vector<Request> requests;
  std::string error;
  bool exceeded = false;
  bool operator==(const Parsed&) const = default;
};

void drain(RequestParser& parser, Parsed& parsed) {
  while (true) {
    const ParseOutcome outcome = parser.next();
    if (outcome == ParseOutcome::kIncomplete) return;
    if (outcome == ParseOutcome::kError) {
      parsed.error = parser.error();
      parsed.exceeded = parser.query_buffer_exceeded();
      return;
    }
    parsed.requests.emplace_back(parser.arguments().begin(), parser.arguments().end());
  }
}

// Fed in pieces that end at `cuts`.
Parsed parse(std::string_view bytes, const std::vector<size_t>& cuts = {}, const ParserLimits& limits = {}) {
  RequestParser parser(limits);
  Parsed parsed;
  size_t from = 0;
  for (const size_t cut : cuts) {
    parser.feed(bytes.substr(from, cut - from));
    drain(parser, parsed);
    from = cut;
  }
  parser.feed(bytes.substr(from));
  drain(parser, parsed);
  return parsed;
}

Parsed parse_with(std::string_view bytes, const ParserLimits& limits) { return parse(bytes, {}, limits); }

std::string array_of(const Request& request) {
  std::string bytes = "*" + std::to_string(request.size()) + "\r\n";
  for (const std::string& word : request) bytes += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
  return bytes;
}

std::string protocol_error(const std::string& text) { return "ERR Protocol error: " + text; }

const std::string kStream =
    "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4\r\nb\r\nc\r\n"
    "PING\r\n"
    "*1\r\n$4\r\nPING\r\n"
    "*0\r\n"
    "*-1\r\n"
    "\r\n"
    "  get \"a\\x00b\" 'c d'\n"
    "*2\r\n$0\r\n\r\n$2\r\n\r\n\r\n"
    "*2\r\n$3\r\nGET\r\n$12\r\n$1\r\nx*1\r\n$1\r\r\n"
    "echo *1\r\n"
    "*1\r\n$4\r\nQUIT\r\n";

const std::vector<Request> kRequests = {
    {"SET", "a", "b\r\nc"}, {"PING"}, {"PING"}, {"get", std::string("a\0b", 3), "c d"}, {"", "\r\n"},
    {"GET", "$1\r\nx*1\r\n$1\r"}, {"echo", "*1"}, {"QUIT"}};

TEST_CASE("request parser: arrays and inline commands come out as they were sent") {
  const Parsed parsed = parse(kStream);
  CHECK(parsed.error == "");
  CHECK(parsed.requests == kRequests);
}

TEST_CASE("request parser: every split of a stream gives the same requests") {
  for (size_t cut = 0; cut <= kStream.size(); ++cut) {
    CAPTURE(cut);
    REQUIRE(parse(kStream, {cut}).requests == kRequests);
  }
}

TEST_CASE("request parser: byte by byte, and in every pair of cuts, the requests are the same") {
  std::vector<size_t> everywhere;
  for (size_t cut = 1; cut < kStream.size(); ++cut) everywhere.push_back(cut);
  CHECK(parse(kStream, everywhere).requests == kRequests);
  for (size_t first = 0; first < kStream.size(); first += 3) {
    for (size_t second = first; second < kStream.size(); second += 5) {
      REQUIRE(parse(kStream, {first, second}).requests == kRequests);
    }
  }
}

TEST_CASE("request parser: random streams fed in random pieces come out whole") {
  base::Random random(7);
  for (int round = 0; round < 60; ++round) {
    std::vector<Request> expected;
    std::string bytes;
    while (bytes.size() < 20'000) {
      Request request;
      for (uint64_t i = random.between(1, 6); i > 0; --i) {
        const uint64_t size = random.chance(1, 10) ? random.below(9000) : random.below(20);
        request.emplace_back(size, static_cast<char>(random.below(256)));
      }
      const bool is_inline = random.chance(1, 4);
      if (is_inline) request = {"ping", "x"};
      bytes += is_inline ? "ping x\r\n" : array_of(request);
      if (random.chance(1, 10)) bytes += "*0\r\n";
      expected.push_back(request);
    }
    std::vector<size_t> cuts;
    for (size_t at = random.below(5000); at < bytes.size(); at += random.below(5000)) cuts.push_back(at);
    CAPTURE(round);
    REQUIRE(parse(bytes, cuts).requests == expected);
  }
}

TEST_CASE("request parser: errors are Redis's") {
  const std::pair<std::string, std::string> cases[] = {
      {"*1\r\n:5\r\n", "expected '$', got ':'"},
      {"*2\r\n$1\r\na\r\n+b\r\n", "expected '$', got '+'"},
      {"*2\r\n$1\r\na\r\n*1\r\n$1\r\na\r\n", "expected '$', got '*'"},
      {"*1\r\nx\r\n", "expected '$', got 'x'"},
      {"*1\r\n$-1\r\n", "invalid bulk length"},
      {"*1\r\n$-2\r\n", "invalid bulk length"},
      {"*1\r\n$a\r\n", "invalid bulk length"},
      {"*1\r\n$\r\n", "invalid bulk length"},
      {"*1\r\n$ 4\r\nping\r\n", "invalid bulk length"},
      {"*1\r\n$04\r\nping\r\n", "invalid bulk length"},
      {"*1\r\n$67108865\r\n", "invalid bulk length"},
      {"*1\r\n$9223372036854775807\r\n", "invalid bulk length"},
      {"*1\r\n$99999999999999999999\r\n", "invalid bulk length"},
      {"*a\r\n", "invalid multibulk length"},
      {"*\r\n", "invalid multibulk length"},
      {"*+1\r\n", "invalid multibulk length"},
      {"*01\r\n", "invalid multibulk length"},
      {"*1048577\r\n", "invalid multibulk length"},
      {"*2147483648\r\n", "invalid multibulk length"},
      {"set a \"b\r\n", "unbalanced quotes in request"},
      {"set a 'b'c\r\n", "unbalanced quotes in request"},
      {std::string(65537, 'a'), "too big inline request"},
      {"*" + std::string(65537, '1'), "too big mbulk count string"},
      {"*1\r\n$" + std::string(65537, '1'), "too big bulk count string"},
  };
  for (const auto& each : cases) {
    const std::string& bytes = each.first;
    const std::string& text = each.second;
    CAPTURE(bytes.substr(0, 40));
    const Parsed whole = parse("*1\r\n$4\r\nPING\r\n" + bytes);
    CHECK(whole.error == protocol_error(text));
    CHECK(whole.requests == std::vector<Request>{{"PING"}});
    std::vector<size_t> everywhere;
    for (size_t cut = 1; cut < std::min<size_t>(bytes.size(), 100); ++cut) everywhere.push_back(cut);
    CHECK(parse(bytes, everywhere).error == protocol_error(text));
  }
}

TEST_CASE("request parser: nothing is parsed after an error") {
  RequestParser parser({});
  parser.feed("*1\r\n:5\r\n*1\r\n$4\r\nPING\r\n");
  REQUIRE(parser.next() == ParseOutcome::kError);
  parser.feed("*1\r\n$4\r\nPING\r\n");
  CHECK(parser.next() == ParseOutcome::kError);
  CHECK(parser.error() == protocol_error("expected '$', got ':'"));
  CHECK_FALSE(parser.query_buffer_exceeded());
}

TEST_CASE("request parser: lines of exactly the limit are only incomplete") {
  CHECK(parse(std::string(65536, 'a')).error == "");
  CHECK(parse(std::string(65536, 'a') + "\r\n").requests.size() == 1);
}

TEST_CASE("request parser: a bulk is refused by its announced length, before it comes") {
  const ParserLimits limits{.bulk_bytes_max = 10};
  CHECK(parse_with("*1\r\n$10\r\n0123456789\r\n", limits).requests == std::vector<Request>{{"0123456789"}});
  CHECK(parse_with("*1\r\n$11\r\n", limits).error == protocol_error("invalid bulk length"));
  CHECK(parse_with("*1\r\n$11\r\n01234567890\r\n", limits).error == protocol_error("invalid bulk length"));
  CHECK(parse_with("*2\r\n$1\r\na\r\n$11\r\n", limits).error == protocol_error("invalid bulk length"));
}

TEST_CASE("request parser: an array is refused by its count, and a count alone takes no memory") {
  CHECK(parse_with("*4\r\n", {.arguments_max = 3}).error == protocol_error("invalid multibulk length"));
  RequestParser parser({});
  parser.feed("*1048576\r\n");
  CHECK(parser.next() == ParseOutcome::kIncomplete);
  CHECK(parser.buffered_bytes() < 100);
}

TEST_CASE("request parser: before a client has authenticated it may send little") {
  const ParserLimits limits{.unauthenticated = true};
  CHECK(parse_with("*11\r\n", limits).error == protocol_error("unauthenticated multibulk length"));
  CHECK(parse_with("*1\r\n$16385\r\n", limits).error == protocol_error("unauthenticated bulk length"));
  CHECK(parse_with(array_of({std::string(16384, 'x')}), limits).error == "");
  RequestParser parser(limits);
  parser.feed(array_of({"AUTH", "pw"}) + "*11\r\n");
  REQUIRE(parser.next() == ParseOutcome::kRequest);
  parser.set_limits({});
  CHECK(parser.next() == ParseOutcome::kIncomplete);
}

TEST_CASE("request parser: an unfinished request is held up to the query buffer limit") {
  const ParserLimits limits{.query_buffer_max = 100'000};
  RequestParser parser(limits);
  parser.feed("*2\r\n$60000\r\n" + std::string(60000, 'x') + "\r\n$60000\r\n");
  CHECK(parser.next() == ParseOutcome::kIncomplete);
  CHECK(parser.buffered_bytes() >= 60000);
  parser.feed(std::string(50000, 'x'));
  CHECK(parser.next() == ParseOutcome::kError);
  CHECK(parser.query_buffer_exceeded());
  CHECK(parser.error() == "");
}

TEST_CASE("request parser: finished requests do not count against the query buffer limit") {
  std::string bytes;
  for (int i = 0; i < 100; ++i) bytes += array_of({std::string(5000, 'x')});
  const Parsed parsed = parse_with(bytes, {.query_buffer_max = 10'000});
  CHECK(parsed.error == "");
  CHECK(parsed.requests.size() == 100);
}

TEST_CASE("request parser: memory of a huge request is given back after it") {
  RequestParser parser({});
  const std::string huge = array_of({"SET", "a", std::string(8 << 20, 'x')});
  for (size_t at = 0; at < huge.size(); at += 65536) {
    parser.feed(std::string_view(huge).substr(at, 65536));
    const bool is_last = at + 65536 >= huge.size();
    REQUIRE(parser.next() == (is_last ? ParseOutcome::kRequest : ParseOutcome::kIncomplete));
  }
  REQUIRE(parser.arguments().size() == 3);
  CHECK(parser.arguments()[2].size() == 8 << 20);
  CHECK(parser.next() == ParseOutcome::kIncomplete);
  CHECK(parser.buffered_bytes() == 0);
  parser.feed("PING\r\n" + array_of({"PING"}));
  CHECK(parser.next() == ParseOutcome::kRequest);
  CHECK(parser.next() == ParseOutcome::kRequest);
}

// What malloc has given out, in bytes; stays 0 where a sanitizer has taken its place.
size_t bytes_allocated() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

TEST_CASE("request parser: room for a large bulk is made once, of which at most a MiB is taken on trust") {
  if (bytes_allocated() == 0) return;
  const std::string piece(16 << 10, 'x');
  RequestParser parser({});
  parser.feed("*1\r\n$1048576\r\n");
  REQUIRE(parser.next() == ParseOutcome::kIncomplete);
  parser.feed(piece);
  const size_t with_room = bytes_allocated();
  for (size_t fed = piece.size(); fed < 1 << 20; fed += piece.size()) {
    REQUIRE(parser.next() == ParseOutcome::kIncomplete);
    parser.feed(piece);
    REQUIRE(bytes_allocated() == with_room);
  }
  const size_t before = bytes_allocated();
  RequestParser trusting({});
  trusting.feed("*1\r\n$67108864\r\n");
  REQUIRE(trusting.next() == ParseOutcome::kIncomplete);
  trusting.feed(piece);
  CHECK(bytes_allocated() - before < 3 << 20);   // The reader adds a MiB of its own.
}

TEST_CASE("request parser: requests behind a huge one in the same piece are not lost") {
  const Request huge{std::string(100'000, 'x'), std::string(50'000, 'y')};
  const Parsed parsed = parse(array_of(huge) + array_of({"a"}) + "b\r\n" + array_of(huge) + array_of({"c"}));
  CHECK(parsed.requests == std::vector<Request>{huge, {"a"}, {"b"}, huge, {"c"}});
}

TEST_CASE("request parser: requests may be taken one by one while more is fed") {
  RequestParser parser({});
  std::vector<Request> seen;
  std::vector<Request> sent;
  for (int i = 0; i < 3000; ++i) {
    sent.push_back({"SET", "key:" + std::to_string(i), std::string(static_cast<size_t>(i % 50), 'v')});
    parser.feed(array_of(sent.back()));
    // Half as fast as they come.
    if (i % 2 == 0) continue;
    REQUIRE(parser.next() == ParseOutcome::kRequest);
    seen.emplace_back(parser.arguments().begin(), parser.arguments().end());
  }
  while (parser.next() == ParseOutcome::kRequest) {
    seen.emplace_back(parser.arguments().begin(), parser.arguments().end());
  }
  CHECK(seen == sent);
}

TEST_CASE("request parser: arguments stay valid until the next request is asked for") {
  RequestParser parser({});
  Request expected;
  for (int i = 0; i < 5000; ++i) expected.push_back("argument " + std::to_string(i));
  parser.feed(array_of(expected) + array_of({"next"}));
  REQUIRE(parser.next() == ParseOutcome::kRequest);
  CHECK(Request(parser.arguments().begin(), parser.arguments().end()) == expected);
}

TEST_CASE("request parser: random bytes neither crash it nor make it hold more than it was given") {
  base::Random random(11);
  const std::string alphabet = "*$:+-\r\n0123456789 abc\"'\\x";
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes;
    for (uint64_t i = random.below(60); i > 0; --i) bytes += alphabet[random.below(alphabet.size())];
    RequestParser parser({.unauthenticated = random.chance(1, 2)});
    for (size_t at = 0; at < bytes.size(); at += 7) parser.feed(bytes.substr(at, 7));
    Parsed parsed;
    drain(parser, parsed);
    REQUIRE(parser.buffered_bytes() <= bytes.size() + 2048);
    for (const Request& request : parsed.requests) REQUIRE_FALSE(request.empty());
  }
}

TEST_CASE("request parser: any mutation of a valid stream gives the same whatever the pieces") {
  base::Random random(13);
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = kStream;
    for (uint64_t i = random.between(1, 3); i > 0; --i) {
      bytes[random.below(bytes.size())] = "*$\r\n019-a\""[random.below(10)];
    }
    std::vector<size_t> everywhere;
    for (size_t cut = 1; cut < bytes.size(); ++cut) everywhere.push_back(cut);
    CAPTURE(bytes);
    REQUIRE(parse(bytes) == parse(bytes, everywhere));
  }
}

TEST_CASE("for a bulk that is only announced no more room is made than two megabytes and what has come") {
  ParserLimits limits;
  limits.bulk_bytes_max = 512 << 20;
  constexpr size_t kArrived = 8192;
  CHECK(fuzz::most_held([&limits] {
          RequestParser parser(limits);
          Parsed parsed;
          for (const std::string& piece : {std::string("*1\r\n$536870912\r\n"), std::string(kArrived, 'x')}) {
            parser.feed(piece);
            drain(parser, parsed);
          }
        }) <= (2 << 20) + 16 * kArrived);
}

}  // namespace
}  // namespace leto::resp
