// Requests out of bytes. hiredis's reader parses the arrays; this file decides what it gets to see.
//
// Bytes wait in pending_ and go to the reader in slices, because the reader moves what it still holds to the
// front of its buffer each time it has consumed 1 KiB: small slices keep a pipeline of any depth linear.
// The line "*N" is read here first, so that inline commands and counts that Redis ignores never
// reach the reader; a byte that would begin anything but a bulk string does not reach it either.
//
// Invariants: between requests the reader's unread bytes are also the last ones before position_ in
// pending_, so that they can be taken back; within an array its next element has been seen to begin with '$'
// before the reader is asked for it.
#include "resp/request_parser.h"

#include <hiredis/read.h>

extern "C" {  // Which this header, unlike read.h, does not say itself.
#include <hiredis/sds.h>
}

#include <algorithm>
#include <climits>

#include "base/assert.h"
#include "base/format.h"
#include "base/number.h"
#include "resp/arena.h"
#include "resp/split_line.h"

namespace leto::resp {

namespace {

constexpr size_t kSliceBytes = 4096;
// Taken at once for a bulk that announces as much: not more on the strength of an announcement alone.
constexpr size_t kRoomTrusted = 1 << 20;
// Buffers that grew beyond this for one request are given back after it.
constexpr size_t kKeptBytes = 32 << 10;
constexpr size_t kArgumentsKept = 256;
// Redis 7.0: what a client may send before it has authenticated.
constexpr int64_t kUnauthenticatedArgumentsMax = 10;
constexpr uint64_t kUnauthenticatedBulkMax = 16384;

enum class Step : uint8_t { kArray, kRequest, kNothing, kIncomplete, kError };

// The first line of a request that begins with '*'.
struct Header {
  enum class Kind : uint8_t { kIncomplete, kMalformed, kCount };
  Kind kind = Kind::kIncomplete;
  int64_t count = 0;
  size_t size = 0;  // With its CR LF.
};

Header parse_header(std::string_view bytes) {
  const size_t end = bytes.find('\r');
  if (end == std::string_view::npos || end + 1 == bytes.size()) return {};
  const std::optional<int64_t> count = base::parse_int64(bytes.substr(1, end - 1));
  if (!count || *count > INT_MAX || bytes[end + 1] != '\n') return {.kind = Header::Kind::kMalformed};
  return {.kind = Header::Kind::kCount, .count = *count, .size = end + 2};
}

struct ReaderDeleter {
  void operator()(redisReader* reader) const { redisReaderFree(reader); }
};

}  // namespace

struct RequestParser::State {
  explicit State(const ParserLimits& given) : limits(given) { make_reader(); }

  void feed(std::string_view bytes);
  ParseOutcome next();
  size_t buffered_bytes() const;

  ParserLimits limits;
  std::vector<std::string_view> arguments;
  std::string error_text;
  bool query_buffer_exceeded = false;

 private:
  // What hiredis calls; it takes the address of a changeable table.
  static redisReplyObjectFunctions functions;
  static void* create_string(const redisReadTask* task, char* bytes, size_t size);
  static void* create_array(const redisReadTask* task, int count);

  // False if error_text says why not.
  bool add_argument(const char* bytes, size_t size);
  Step step();
  Step begin();
  Step begin_array(const Header& header, std::string_view bytes);
  Step inline_request(std::string_view bytes);
  Step continue_array();
  Step check_announced();
  Step feed_slice();
  void give_to_reader(std::string_view bytes);
  Step fail(std::string_view text);
  bool bulk_is_refused(uint64_t size);
  void finish_request();
  void make_reader();
  void take_back();
  void compact();

  std::string_view pending() const { return std::string_view(pending_).substr(position_); }
  std::string_view unread() const { return {reader_->buf + reader_->pos, reader_->len - reader_->pos}; }
  bool awaits_element() const { return reader_->ridx == 1 && reader_->rstack[1].type < 0; }

  std::string pending_;
  size_t position_ = 0;        // In pending_: bytes before it were given to the reader or are done with.
  std::unique_ptr<redisReader, ReaderDeleter> reader_;
  Arena arena_;
  std::vector<std::string> words_;   // Of an inline request.
  size_t count_ = 0;           // Elements of the array being read; 0 between requests.
  size_t missing_ = 0;         // Bytes until the announced bulk is whole, as far as known.
  bool huge_ = false;          // The reader's buffer has grown beyond kKeptBytes.
  bool finished_ = false;      // arguments are a request that was handed out.
};

// Integers never reach the reader; "$-1" makes a nil. A null makes hiredis stop.
redisReplyObjectFunctions RequestParser::State::functions = {
    .createString = create_string,
    .createArray = create_array,
    .createInteger = [](const redisReadTask*, long long) -> void* { return nullptr; },
    .createNil = [](const redisReadTask*) -> void* { return nullptr; },
    .freeObject = [](void*) {},
};

void* RequestParser::State::create_string(const redisReadTask* task, char* bytes, size_t size) {
  LETO_ASSERT(task->type == REDIS_REPLY_STRING, base::format("type %d", task->type));
  State* const state = static_cast<State*>(task->privdata);
  return state->add_argument(bytes, size) ? state : nullptr;
}

void* RequestParser::State::create_array(const redisReadTask* task, int) {
  LETO_ASSERT(task->parent == nullptr, "an array within an array reached the reader");
  return task->privdata;
}

void RequestParser::State::make_reader() {
  reader_.reset(redisReaderCreateWithFunctions(&functions));
  LETO_ASSERT(reader_ != nullptr, "no memory for a reader");
  reader_->privdata = this;
  huge_ = false;
}

void RequestParser::State::take_back() {
  const size_t size = unread().size();
  LETO_ASSERT(count_ == 0 && size <= position_, base::format("%zu unread, position %zu", size, position_));
  position_ -= size;
  make_reader();
}

void RequestParser::State::compact() {
  const size_t needed_from = count_ == 0 ? position_ - unread().size() : position_;
  if (needed_from == pending_.size() && pending_.capacity() > kKeptBytes) {
    std::string().swap(pending_);
    position_ = 0;
  } else if (needed_from > pending_.size() / 2) {
    pending_.erase(0, needed_from);
    position_ -= needed_from;
  }
}

void RequestParser::State::feed(std::string_view bytes) {
  if (!error_text.empty() || query_buffer_exceeded) return;
  if (missing_ > 0 && pending().empty()) {
    // The rest of a large bulk: spares it one copy.
    const size_t size = std::min(missing_, bytes.size());
    give_to_reader(bytes.substr(0, size));
    missing_ -= size;
    bytes.remove_prefix(size);
  }
  compact();
  pending_.append(bytes);
}

size_t RequestParser::State::buffered_bytes() const {
  const size_t taken = count_ > 0 ? arena_.allocated() + arguments.size() * sizeof(arguments[0]) : 0;
  return pending().size() + unread().size() + taken;
}

ParseOutcome RequestParser::State::next() {
  if (!error_text.empty() || query_buffer_exceeded) return ParseOutcome::kError;
  if (finished_) finish_request();
  Step result = Step::kNothing;
  while (result == Step::kNothing || result == Step::kArray) result = step();
  switch (result) {
    case Step::kRequest:
      finished_ = true;
      return ParseOutcome::kRequest;
    case Step::kError:
      return ParseOutcome::kError;
    default:
      compact();
      query_buffer_exceeded = buffered_bytes() > limits.query_buffer_max;
      return query_buffer_exceeded ? ParseOutcome::kError : ParseOutcome::kIncomplete;
  }
}

Step RequestParser::State::step() { return count_ > 0 ? continue_array() : begin(); }

void RequestParser::State::finish_request() {
  finished_ = false;
  arena_.reset();
  arguments.clear();
  if (arguments.capacity() > kArgumentsKept) arguments.shrink_to_fit();
  if (huge_) take_back();
}

Step RequestParser::State::fail(std::string_view text) {
  error_text = "ERR Protocol error: ";
  error_text.append(text);
  return Step::kError;
}

Step RequestParser::State::begin() {
  const std::string_view ahead = unread();
  if (!ahead.empty()) {
    const Header header = ahead[0] == '*' ? parse_header(ahead) : Header{};
    if (header.kind == Header::Kind::kCount && header.count > 0) return begin_array(header, ahead);
    take_back();
    return Step::kNothing;
  }
  const std::string_view bytes = pending();
  if (bytes.empty()) return Step::kIncomplete;
  if (bytes[0] != '*') return inline_request(bytes);
  const Header header = parse_header(bytes);
  if (header.kind == Header::Kind::kMalformed) return fail("invalid multibulk length");
  if (header.kind == Header::Kind::kIncomplete) {
    return bytes.size() > limits.inline_bytes_max ? fail("too big mbulk count string") : Step::kIncomplete;
  }
  if (header.count <= 0) {
    position_ += header.size;
    return Step::kNothing;
  }
  const Step begun = begin_array(header, bytes);
  return begun == Step::kArray ? feed_slice() : begun;
}

Step RequestParser::State::begin_array(const Header& header, std::string_view bytes) {
  if (static_cast<uint64_t>(header.count) > limits.arguments_max) return fail("invalid multibulk length");
  if (limits.unauthenticated && header.count > kUnauthenticatedArgumentsMax) {
    return fail("unauthenticated multibulk length");
  }
  if (bytes.size() > header.size && bytes[header.size] != '$') {
    return fail(base::format("expected '$', got '%c'", bytes[header.size]));
  }
  count_ = static_cast<size_t>(header.count);
  return Step::kArray;
}

Step RequestParser::State::inline_request(std::string_view bytes) {
  const size_t end = bytes.find('\n');
  if (end == std::string_view::npos) {
    return bytes.size() > limits.inline_bytes_max ? fail("too big inline request") : Step::kIncomplete;
  }
  std::string_view line = bytes.substr(0, end);
  position_ += end + 1;
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (!split_line(line, words_)) return fail("unbalanced quotes in request");
  for (const std::string& word : words_) arguments.push_back(arena_.copy(word));
  return arguments.empty() ? Step::kNothing : Step::kRequest;
}

Step RequestParser::State::continue_array() {
  void* reply = nullptr;
  if (redisReaderGetReply(reader_.get(), &reply) != REDIS_OK) {
    // What hiredis itself finds wrong, with bulks alone before it, is a length.
    return error_text.empty() ? fail("invalid bulk length") : Step::kError;
  }
  if (reply == nullptr) {
    const Step checked = check_announced();
    return checked == Step::kError ? checked : feed_slice();
  }
  LETO_ASSERT(arguments.size() == count_, base::format("%zu of %zu arguments", arguments.size(), count_));
  count_ = 0;
  missing_ = 0;
  return Step::kRequest;
}

Step RequestParser::State::check_announced() {
  missing_ = 0;
  if (awaits_element()) return Step::kIncomplete;
  const std::string_view bytes = unread();
  const size_t end = bytes.find("\r\n");
  if (end == std::string_view::npos) {
    // hiredis has read the '$' already; Redis counts it.
    return bytes.size() + 1 > limits.inline_bytes_max ? fail("too big bulk count string") : Step::kIncomplete;
  }
  const std::optional<int64_t> size = base::parse_int64(bytes.substr(0, end));
  if (!size || *size < 0) return fail("invalid bulk length");
  const uint64_t announced = static_cast<uint64_t>(*size);
  if (bulk_is_refused(announced)) return Step::kError;
  missing_ = end + 2 + announced + 2 - bytes.size();
  return Step::kIncomplete;
}

Step RequestParser::State::feed_slice() {
  const std::string_view bytes = pending();
  if (bytes.empty()) return Step::kIncomplete;
  if (unread().empty() && awaits_element() && bytes[0] != '$') {
    return fail(base::format("expected '$', got '%c'", bytes[0]));
  }
  const size_t size = std::min(bytes.size(), std::max(kSliceBytes, missing_));
  give_to_reader(bytes.substr(0, size));
  position_ += size;
  return Step::kArray;
}

// The reader doubles its buffer as bytes come, and so moves a large bulk again and again, that of many clients in one
// turn: the room is made ahead.
void RequestParser::State::give_to_reader(std::string_view bytes) {
  if (missing_ > bytes.size() && sdsavail(reader_->buf) < bytes.size()) {
    const size_t room = std::min(missing_, std::max(kRoomTrusted, reader_->len));
    reader_->buf = sdsMakeRoomFor(reader_->buf, room);
    LETO_ASSERT(reader_->buf != nullptr, base::format("no memory for %zu bytes", room));
  }
  redisReaderFeed(reader_.get(), bytes.data(), bytes.size());
  huge_ = huge_ || reader_->len > kKeptBytes;
}

bool RequestParser::State::bulk_is_refused(uint64_t size) {
  if (size > limits.bulk_bytes_max) {
    fail("invalid bulk length");
  } else if (limits.unauthenticated && size > kUnauthenticatedBulkMax) {
    fail("unauthenticated bulk length");
  }
  return !error_text.empty();
}

bool RequestParser::State::add_argument(const char* bytes, size_t size) {
  if (bulk_is_refused(size)) return false;
  arguments.push_back(arena_.copy({bytes, size}));
  // The reader goes on to the next element at once if it has it.
  const char* const following = bytes + size + 2;
  const bool is_seen = arguments.size() < count_ && following < reader_->buf + reader_->len;
  if (is_seen && *following != '$') {
    fail(base::format("expected '$', got '%c'", *following));
    return false;
  }
  return true;
}

RequestParser::RequestParser(const ParserLimits& limits) : state_(std::make_unique<State>(limits)) {}
RequestParser::~RequestParser() = default;

void RequestParser::feed(std::string_view bytes) { state_->feed(bytes); }
ParseOutcome RequestParser::next() { return state_->next(); }
Arguments RequestParser::arguments() const { return state_->arguments; }
const std::string& RequestParser::error() const { return state_->error_text; }
bool RequestParser::query_buffer_exceeded() const { return state_->query_buffer_exceeded; }
size_t RequestParser::buffered_bytes() const { return state_->buffered_bytes(); }
void RequestParser::set_limits(const ParserLimits& limits) { state_->limits = limits; }

}  // namespace leto::resp
