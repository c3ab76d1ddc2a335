// leto-faults: commits the fault that it is told to, so that it can be shown that a build under a sanitizer finds it and that
// the tests hear of it. Built in those builds alone. Refuses to know who looks.
//
// Status 0 means that the fault was committed and nobody ended the program for it.
#include <climits>
#include <cstdio>
#include <memory>
#include <string_view>
#include <thread>

namespace {

// What the compiler must not see through.
volatile int one = 1;

// Some, as what is left in a register or on the stack keeps the last one from being a leak.
void leak() {
  for (int i = 0; i < 10; ++i) *static_cast<volatile char*>(new char[64]) = 'x';
}

void overflow() {
  const std::unique_ptr<char[]> bytes(new char[8]());
  bytes[static_cast<size_t>(one) * 8] = 'x';
}

void sum() {
  const int most = INT_MAX;
  one = most + one;
}

void race() {
  int shared = 0;
  std::thread other([&shared] { shared += one; });
  shared += one;
  other.join();
}

void nothing() {}

struct Fault {
  std::string_view name;
  void (*commit)();
};
constexpr Fault kFaults[] = {{"leak", leak}, {"overflow", overflow}, {"sum", sum}, {"race", race}, {"nothing", nothing}};

}  // namespace

int main(int count, char** words) {
  for (const Fault& fault : kFaults) {
    if (count != 2 || fault.name != words[1]) continue;
    fault.commit();
    return 0;
  }
  std::fprintf(stderr, "usage: leto-faults leak|overflow|sum|race|nothing\n");
  return 2;
}
