#include "tests/chaos/child.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

#include "base/assert.h"
#include "base/format.h"

namespace leto::chaos {

namespace {

constexpr int kCannotRun = 127;

[[noreturn]] void become(const Command& command, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(kCannotRun);
  setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  const int null = open("/dev/null", O_RDONLY), output = open(command.output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (null < 0 || output < 0) _exit(kCannotRun);
  dup2(null, 0);
  dup2(output, 1);
  dup2(output, 2);
  if (command.prepare && !command.prepare()) _exit(kCannotRun);
  std::vector<char*> words;
  for (const std::string& word : command.words) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  execvp(words[0], words.data());
  _exit(kCannotRun);
}

}  // namespace

Child::~Child() { kill_and_wait(); }

bool Child::start(const Command& command) {
  LETO_ASSERT(pid_ == 0, base::format("process %d runs already", static_cast<int>(pid_)));
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) become(command, parent);
  if (pid < 0) return false;
  pid_ = pid;
  status_.clear();
  return true;
}

void Child::note(int status) {
  pid_ = 0;
  status_ = WIFEXITED(status) ? base::format("exit %d", WEXITSTATUS(status)) : base::format("signal %d", WTERMSIG(status));
}

bool Child::runs() {
  int status = 0;
  if (pid_ != 0 && waitpid(pid_, &status, WNOHANG) == pid_) note(status);
  return pid_ != 0;
}

void Child::signal(int number) {
  if (pid_ != 0) kill(pid_, number);
}

void Child::kill_and_wait() {
  signal(SIGKILL);
  wait();
}

void Child::wait() {
  if (pid_ == 0) return;
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) continue;
  note(status);
}

bool run_command(const Command& command) {
  Child child;
  if (!child.start(command)) return false;
  child.wait();
  return child.status() == "exit 0";
}

}  // namespace leto::chaos
