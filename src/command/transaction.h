// A client's transaction: what MULTI queues, which keys WATCH follows, and what EXEC is made of them: one command
// that an entry of the log, or a frame between nodes, holds like any other. Refuses to know where it runs.
//
//   arguments of that command   "exec", the conditions, and one argument for each queued command on keys
//   the conditions              varint count, then for each: varint database, string key, varint index, varint position
//   a queued command            varint database, varint argument count, string arguments: as in an entry (entry.h)
//
// A condition holds if the key's version is that one; index and position 0 mean that the key does not exist.
//
// Invariants: what is queued was known, had the right arity and may be in a transaction; a transaction that was refused
// holds no commands; keys are watched until the transaction, or the client, is gone.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "command/entry.h"
#include "keyspace/value.h"
#include "keyspace/watches.h"
#include "resp/reply.h"
#include "resp/request_parser.h"

namespace leto::command {

using resp::Arguments;

struct Command;

class WatchedKeys {
 public:
  WatchedKeys() = default;
  ~WatchedKeys() { clear(); }
  WatchedKeys(const WatchedKeys&) = delete;
  WatchedKeys& operator=(const WatchedKeys&) = delete;
  WatchedKeys(WatchedKeys&&) noexcept = default;
  WatchedKeys& operator=(WatchedKeys&& other) noexcept;

  // Nothing if that key is watched already.
  void add(const std::shared_ptr<keyspace::Watches>& watches, uint32_t database, std::string_view key, keyspace::Version version);
  void clear();
  bool empty() const { return state_ == nullptr; }
  // One of them was changed since.
  bool touched() const { return state_ != nullptr && state_->touched; }
  // As EXEC's second argument.
  std::string conditions() const;
  // Of the conditions, at most.
  size_t bytes() const { return state_ == nullptr ? 0 : state_->bytes; }
  // What one more key adds to bytes().
  static size_t bytes_of(std::string_view key);

 private:
  using Place = std::pair<uint32_t, std::string>;   // Database and key.
  struct State {
    std::shared_ptr<keyspace::Watches> watches;
    std::map<Place, keyspace::Version> keys;
    size_t bytes = 0;
    bool touched = false;
  };
  std::unique_ptr<State> state_;   // Where it is, `touched` has to stay.
};

struct QueuedCommand {
  const Command* command = nullptr;
  std::string encoded;
};

// Of one client. Without MULTI there may be watched keys.
struct Transaction {
  // Each is an argument of EXEC as one command, behind its name and its conditions; another node takes so many of these.
  static constexpr size_t kCommandsMax = (1 << 20) - 2;

  bool open = false;              // Between MULTI and EXEC.
  bool refused = false;           // EXEC will be refused: something could not be queued.
  uint32_t database = 0;          // Of what is queued next: behind the SELECTs that are queued.
  size_t bytes = 0;               // Of what is queued.
  size_t running = 0;             // Commands of the EXEC that is being answered.
  size_t unconfirmed = 0;         // WATCHes that were not answered with OK.
  std::vector<QueuedCommand> queue;
  WatchedKeys watched;

  void add(const Command& command, Arguments arguments);
  // What `arguments` add to entry_bytes(), at most.
  static size_t bytes_of(Arguments arguments);
  // Of EXEC as one command of an entry, at most.
  size_t entry_bytes() const;
  void refuse();
};

// The commands of a transaction that are not about keys. They run at the node that has the client, at their places
// among the others, while EXEC is answered.
struct LocalCommands {
  struct Each {
    size_t place = 0;             // So many commands on keys are before it.
    QueuedCommand queued;
  };
  std::vector<Each> commands;
  std::function<void(const Command&, Arguments, resp::Reply&)> run;
  size_t next = 0;

  // Those whose place has come.
  void run_before(size_t place, resp::Reply& reply);
};

// "exec", conditions, commands on keys. Views into `transaction` and `conditions`.
std::vector<std::string_view> exec_arguments(const Transaction& transaction, const std::string& conditions);
// Takes the others out of the queue; null if there are none.
std::shared_ptr<LocalCommands> take_local_commands(Transaction& transaction);

// EXEC's row, as it is routed: with writes, or with reads alone.
const Command& exec_of_writes();
const Command& exec_of_reads();

// What is wrong with an EXEC that another node made, as an error text; empty if it may be proposed.
std::string check_exec(Arguments arguments, uint32_t databases);
// The key that says where a write belongs: its first one, or that of an EXEC's commands. None: FLUSHALL has no key.
std::optional<std::string_view> first_key_of(const Command& command, Arguments arguments);

// `reply` is what the commands on keys gave at another node. Appends what the client is told: that, and what the local
// commands give, which run now. False if `reply` is not one: then nothing ran and nothing was appended.
bool splice(std::string_view reply, LocalCommands& locals, resp::Reply& out);

}  // namespace leto::command
