#include "tests/sim/trial.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "base/format.h"

namespace leto::sim {

namespace {

using Number = unsigned long long;
using Clock = std::chrono::steady_clock;

constexpr size_t kErrorsMax = 64 << 10;   // Of what it says on stderr.

// Lines of the child. All else that it says is stderr.
constexpr char kDecided[] = "@decided ", kFault[] = "@fault ", kViolated[] = "@violated ";

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

// --- In the child ------------------------------------------------------------------------------------

void on_abort(int) {
  std::signal(SIGABRT, SIG_DFL);
  if (damage_went_unnoticed()) _exit(kUnnoticedExit);
}

// At once, so that it is said whatever happens next.
void say(int pipe, const std::string& line) {
  if (write(pipe, line.data(), line.size()) != static_cast<ssize_t>(line.size())) _exit(2);
}

[[noreturn]] void run_child(const TrialOptions& options, int pipe) {
  const rlimit no_core = {.rlim_cur = 0, .rlim_max = 0};
  setrlimit(RLIMIT_CORE, &no_core);
  std::signal(SIGABRT, on_abort);
  const int nowhere = open("/dev/null", O_WRONLY);
  dup2(nowhere, STDOUT_FILENO);
  dup2(pipe, STDERR_FILENO);
  const SeedResult result = run_seed(
      options.run, [pipe](uint64_t count) { say(pipe, kDecided + std::to_string(count) + "\n"); },
      [pipe](const FaultLine& line) {
        say(pipe, base::format("%s%llu %llu %zu %s\n", kFault, Number{line.fault}, Number{line.time}, line.machine,
                               line.text.c_str()));
      });
  std::string violation = result.violation;
  if (violation.empty() && options.twice && run_seed(options.run).hash != result.hash) violation = kOtherHash;
  if (!violation.empty()) say(pipe, kViolated + violation + "\n");
  _exit(0);
}

// --- In the parent -----------------------------------------------------------------------------------

// All that comes until the other end is closed; false if that took too long.
bool read_all(int pipe, double seconds_max, std::string& text) {
  const Clock::time_point begin = Clock::now();
  char buffer[4096];
  while (true) {
    const double left = seconds_max - seconds_since(begin);
    pollfd polled = {.fd = pipe, .events = POLLIN, .revents = 0};
    if (left <= 0 || poll(&polled, 1, static_cast<int>(left * 1000) + 1) == 0) return false;
    const ssize_t part = read(pipe, buffer, sizeof buffer);
    if (part <= 0) return true;
    text.append(buffer, static_cast<size_t>(part));
  }
}

void take_fault(std::string_view line, Trial& trial) {
  Number fault = 0, time = 0;
  size_t machine = 0;
  int read = 0;
  const std::string text(line);
  if (std::sscanf(text.c_str(), "%llu %llu %zu %n", &fault, &time, &machine, &read) != 3) return;
  trial.faults.push_back({.fault = fault, .time = time, .machine = machine, .text = text.substr(static_cast<size_t>(read))});
}

// Takes apart what a child said; gives what was stderr.
std::string take_lines(std::string_view said, Trial& trial) {
  std::string errors;
  while (!said.empty()) {
    const size_t end = std::min(said.find('\n'), said.size());
    const std::string_view line = said.substr(0, end);
    said.remove_prefix(std::min(end + 1, said.size()));
    if (line.starts_with(kDecided)) {
      trial.decided = std::strtoull(std::string(line.substr(sizeof kDecided - 1)).c_str(), nullptr, 10);
    } else if (line.starts_with(kFault)) {
      take_fault(line.substr(sizeof kFault - 1), trial);
    } else if (line.starts_with(kViolated)) {
      trial.text = line.substr(sizeof kViolated - 1);
      trial.kind = kind_of_violation(trial.text);
    } else if (errors.size() < kErrorsMax) {
      errors += std::string(line) + "\n";
    }
  }
  return errors;
}

// The first line that has `what`, from there on; empty: none has.
std::string find_line(std::string_view text, std::string_view what) {
  const size_t begin = text.find(what);
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find('\n', begin) - begin));
}

}  // namespace

std::string kind_of_violation(const std::string& violation) {
  const std::string name = violation.substr(0, violation.find(':'));
  return name == "I16" || name == "determinism" ? violation : name;
}

void judge_end(int status, std::string_view errors, Trial& trial) {
  if (!trial.kind.empty()) return;
  const bool ended = WIFEXITED(status);
  if (ended && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == kUnnoticedExit)) return;
  // "ASSERTION FAILED file:line: condition (numbers)".
  trial.text = find_line(errors, "ASSERTION FAILED ");
  if (!trial.text.empty()) {
    trial.kind = trial.text.substr(0, trial.text.find(": "));
    return;
  }
  trial.kind = ended ? base::format("status %d", WEXITSTATUS(status)) : base::format("signal %d", WTERMSIG(status));
  // Of a sanitizer: "SUMMARY: AddressSanitizer: heap-use-after-free file:line in function".
  const std::string summary = find_line(errors, "SUMMARY: ");
  if (!summary.empty()) trial.kind = summary;
  trial.text = trial.kind;
}

Trial try_run(const TrialOptions& options) {
  Trial trial;
  const Clock::time_point begin = Clock::now();
  int ends[2] = {-1, -1};
  std::fflush(nullptr);
  const pid_t child = pipe(ends) == 0 ? fork() : -1;
  if (child == 0) {
    close(ends[0]);
    run_child(options, ends[1]);
  }
  if (child < 0) {
    trial.kind = trial.text = "no process for it";
    return trial;
  }
  close(ends[1]);
  std::string said;
  const bool in_time = read_all(ends[0], options.seconds_max, said);
  if (!in_time) kill(child, SIGKILL);
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  const std::string errors = take_lines(said, trial);
  if (in_time) judge_end(status, errors, trial);
  else trial.kind = trial.text = "it does not end";
  trial.seconds = seconds_since(begin);
  return trial;
}

}  // namespace leto::sim
