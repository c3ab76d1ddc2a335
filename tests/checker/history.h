// What clients did and were told: the input of the checker. Refuses to know nodes, logs and networks.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace leto::checker {

// A reply as the client read it.
struct Answer {
  // kSomeInteger: one that was told only as a part of the sum over several keys.
  enum class Kind : uint8_t { kNil, kStatus, kInteger, kBulk, kError, kArray, kSomeInteger };
  Kind kind = Kind::kNil;
  std::string text = {};   // An integer's digits; an error's whole text; how many elements, -1 for none.
  bool operator==(const Answer&) const = default;
};

// As redis-cli would show it, on one line.
std::string readable(const Answer& answer);

// kFlush: FLUSHALL, of every key; it has none of its own.
enum class Action : uint8_t { kGet, kSet, kIncr, kDel, kExists, kFlush };
inline constexpr size_t kActions = 6;
const char* action_name(Action action);
bool is_write(Action action);

enum class Outcome : uint8_t {
  kOk,        // It happened between invocation and return, and `answer` is what it gave.
  kFailed,    // It never happened.
  kUnknown,   // It may have happened, or happen later than anything in the history.
};

// One request. `invoked` and `returned` are numbers of one order over all of the history, each used once.
struct Operation {
  Action action = Action::kGet;
  std::string key = {};
  std::string argument = {}; // Of SET.
  uint64_t client = 0;
  uint64_t invoked = 0;
  uint64_t returned = 0;     // Of kOk only.
  Outcome outcome = Outcome::kUnknown;
  Answer answer = {};        // Of kOk only.
  // Requests of one pipeline on one connection share a lane and take effect in the order of `place`.
  // Lane 0: no such promise.
  uint64_t lane = 0;
  uint32_t place = 0;
  // A read of what one node has, however old: judged by connection, see local_reads.h.
  bool local = false;
  uint64_t connection = 0;
};

// "client 3: SET k1 v7 -> OK [12, 17]"
std::string readable(const Operation& operation);

class History {
 public:
  using Number = size_t;
  // Notes that a request left the client; its outcome is unknown until end() says otherwise.
  Number begin(Operation operation);
  void end(Number number, Outcome outcome, Answer answer);

  const std::vector<Operation>& operations() const { return operations_; }
  // But for local reads. What flushes is an operation of every key.
  std::map<std::string, std::vector<Operation>> by_key() const;
  // Writes and local reads.
  std::map<std::string, std::vector<Operation>> local_by_key() const;

 private:
  std::map<std::string, std::vector<Operation>> with_flushes(std::map<std::string, std::vector<Operation>> keys) const;

  uint64_t next_order_ = 1;
  std::vector<Operation> operations_;
};

}  // namespace leto::checker
