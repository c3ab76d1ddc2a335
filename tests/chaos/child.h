// A child process: started, signalled, waited for by its pid alone. Refuses to know what it runs.
// Invariant: it dies with this process, however that ends.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

namespace leto::chaos {

struct Command {
  std::vector<std::string> words;
  std::string output = "/dev/null";                 // A file that standard output and errors are appended to.
  std::function<bool()> prepare = nullptr;   // In the new process, before the program begins.
};

class Child {
 public:
  Child() = default;
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // REQUIRES: it does not run. False if there is no new process.
  bool start(const Command& command);
  // Asks the system. Once it is false, status() says how it ended.
  bool runs();
  void signal(int number);
  // Returns when it has ended.
  void kill_and_wait();
  // Until it ends by itself.
  void wait();
  // "exit 0", "signal 9".
  const std::string& status() const { return status_; }
  pid_t pid() const { return pid_; }

 private:
  void note(int status);

  pid_t pid_ = 0;   // 0: none runs.
  std::string status_;
};

// Runs it to its end; whether that was exit 0.
bool run_command(const Command& command);

}  // namespace leto::chaos
