// What all simulated clients do: ask, wait for the answers, think, and ask again, over one connection at a time. Refuses to
// know what is asked for and where.
//
// Invariant: one thought at a time; a later one ends those before it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "tests/sim/connection.h"
#include "tests/sim/world.h"

namespace leto::sim {

// Where a client may go.
class Directory {
 public:
  virtual ~Directory() = default;
  virtual Machine* leader() = 0;            // Null if there is none.
  virtual Machine& random_machine(base::Random& random) = 0;
  // Whose address for clients it is; null if it is nobody's.
  virtual Machine* at(const std::string& client_address) = 0;
};

class ClosedLoop {
 public:
  virtual ~ClosedLoop();
  ClosedLoop(const ClosedLoop&) = delete;
  ClosedLoop& operator=(const ClosedLoop&) = delete;

  void start() {
    stopped_ = false;
    think();
  }
  // After what it waits for was answered.
  void stop() { stopped_ = true; }
  // It waits for no answer.
  virtual bool idle() const = 0;

 protected:
  // Its random numbers are the world's of this stream.
  ClosedLoop(World& world, Directory& directory, uint64_t stream);

  // How long the next thought takes.
  virtual Microseconds draw_pause() = 0;
  // It has thought.
  virtual void act() = 0;
  virtual void on_reply(const checker::Answer& answer) = 0;
  virtual void on_closed() = 0;

  void think();
  // Leaves where it is, and forgets where it was told to go; false if nobody listens there.
  bool connect_to(Machine& machine);
  // A reply came: it may say that another one takes writes, and who.
  void hear(const checker::Answer& answer);
  // Where the last redirect led, or else who leads; null if nobody does.
  Machine* who_takes_writes();
  // What was just sent must be answered in time: within request-timeout by the node's own clock, `rounds` times if so many
  // of it are begun only when the one before is answered.
  void watch(uint64_t rounds);
  // Its time begins anew for the next request of a pipeline, if the one that was answered was served.
  void watch_next(const checker::Answer& answer);
  bool is_connected() const { return connection_ && connection_->is_open(); }

  World& world_;
  Directory& directory_;
  base::Random random_;
  std::shared_ptr<Connection> connection_;

 private:
  struct Watched {
    uint64_t number = 0;        // The last one alone is looked at.
    uint64_t life = 0;          // Of the process.
    Microseconds since = 0;
    uint64_t own_us = 0, limit_us = 0;   // By the clock of its machine: when it began, and for how long.
  };
  void look(Watched watched);

  Machine* redirected_ = nullptr;   // To there, since it connected.
  uint64_t watches_ = 0;
  uint64_t thoughts_ = 0;
  bool stopped_ = false;
};

}  // namespace leto::sim
