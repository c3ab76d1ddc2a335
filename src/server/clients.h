// All client connections of a node: accepts them or says why not, flushes them once per turn, resumes those
// that were paused, closes those that idle. Refuses to know commands.
//
// Invariant: what clients ask and get in one turn takes bounded time; whoever did not come to it is first in the next.
#pragma once

#include <uv.h>

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "server/connection.h"
#include "server/environment.h"
#include "server/loop.h"
#include "server/node.h"
#include "server/options.h"
#include "server/stream.h"

namespace leto::server {

class Clients {
 public:
  static constexpr size_t kReadBytesPerTurn = 256 << 10;
  static constexpr size_t kReadBytesMin = 4 << 10;
  static constexpr size_t kReadBytesMax = 256 << 10;   // By one, if it is alone.

  // All outlive this. By `clock` a turn's time is measured.
  Clients(Loop& loop, Clock& clock, const Options& options);
  ~Clients();

  // The node may be another one only while there are no clients.
  void set_node(Node* node);
  Node& node() { return *node_; }
  Loop& loop() { return loop_; }
  const Options& options() const { return options_; }

  void accept(uv_stream_t* listener, StreamKind kind);
  // After the node's turn: one write per client whose output grew; what may be read again is read.
  void on_turn_end();
  void on_second();
  void close_all();
  size_t size() const { return connections_.size(); }
  // Replies that the kernel has not taken yet.
  bool all_sent() const;

  // For connections.
  void note_paused(Connection& connection) { paused_.push_back(&connection); }
  void note_closed(Connection& connection);
  // Has something to flush that the node does not know of.
  void note_output(Connection& connection);
  // One more client has bytes to read in this turn. What each of them may read in it, so that all together stay within
  // kReadBytesPerTurn, or kReadBytesMin each if they are many.
  void note_reader() { ++readers_; }
  void note_read(size_t bytes) { read_in_turn_ += bytes; }
  size_t read_share() const;
  // The turn's time for requests is over: whoever has more is paused.
  bool time_is_up();
  uint64_t turn() const { return turn_; }

 private:
  const char* refusal(const Stream& stream) const;
  void flush_dirty();
  void resume_paused();
  void forget_closed();

  Loop& loop_;
  Clock& clock_;
  const Options& options_;
  Node* node_ = nullptr;
  uint64_t turn_ = 1;
  uint64_t timed_turn_ = 0;     // The turn whose requests began at:
  uint64_t began_us_ = 0;
  size_t read_in_turn_ = 0;     // Bytes, from all.
  size_t readers_ = 0;          // In this turn,
  size_t readers_before_ = 0;   // and in the one before.
  std::unordered_map<uint64_t, std::unique_ptr<Connection>> connections_;   // By client id.
  std::vector<Connection*> paused_;   // In the order in which they go on.
  std::vector<Connection*> dirty_;    // The same for those to be flushed; each once.
  std::vector<std::unique_ptr<Connection>> closed_;   // Destroyed at the end of the turn.
};

}  // namespace leto::server
