// What a host takes from its virtual machine without telling it: one thread for each processor sleeps a quarter of a millisecond
// again and again, at a real-time priority, before which every other thread has to give way. Where it woke too late all the same, the
// processor did not run: a line "PROCESSOR FROM TO" on stdout, microseconds of the clock. What the kernel does that nothing may
// interrupt looks the same. Runs until it is ended; status 3 if it may not have that priority. See host_pauses.tcl.
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <thread>
#include <vector>

namespace {

constexpr long long kSleepUs = 250;
constexpr long long kLateUs = 300;   // Less is the kernel's own.

long long now_us() {
  timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return time.tv_sec * 1'000'000LL + time.tv_nsec / 1000;
}

void stay_on(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
  const sched_param priority{.sched_priority = 50};
  if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority) != 0) {
    fprintf(stderr, "host_pauses: no real-time priority for this user\n");
    exit(3);
  }
}

void watch(int processor) {
  stay_on(processor);
  const timespec sleep{.tv_sec = 0, .tv_nsec = kSleepUs * 1000};
  for (;;) {
    const long long due_us = now_us() + kSleepUs;
    clock_nanosleep(CLOCK_MONOTONIC, 0, &sleep, nullptr);
    const long long woke_us = now_us();
    if (woke_us - due_us > kLateUs) printf("%d %lld %lld\n", processor, due_us, woke_us);
  }
}

}  // namespace

int main() {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof allowed, &allowed);
  std::vector<std::thread> threads;
  for (int processor = 0; processor < CPU_SETSIZE; ++processor) {
    if (CPU_ISSET(processor, &allowed)) threads.emplace_back(watch, processor);
  }
  for (std::thread& thread : threads) thread.join();
}
