// Before the C library's allocator, where no sanitizer is: so that leto-tests can count. And that the count is right.
#include "tests/fuzz/allocations.h"

#include <doctest/doctest.h>
#include <hiredis/read.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#include <malloc.h>

extern "C" {

void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* place, size_t bytes);
void __libc_free(void* place);

}  // extern "C"

namespace {

int64_t size_of(void* place) { return static_cast<int64_t>(malloc_usable_size(place)); }

void* counted(void* place) {
  leto::fuzz::count_allocation(size_of(place));
  return place;
}

}  // namespace

extern "C" {

void* malloc(size_t bytes) noexcept { return counted(__libc_malloc(bytes)); }
void* calloc(size_t count, size_t bytes) noexcept { return counted(__libc_calloc(count, bytes)); }

void* realloc(void* place, size_t bytes) noexcept {
  const int64_t before = size_of(place);
  void* const moved = __libc_realloc(place, bytes);
  if (moved != nullptr || bytes == 0) leto::fuzz::count_allocation(size_of(moved) - before);
  return moved;
}

void free(void* place) noexcept {
  leto::fuzz::count_allocation(-size_of(place));
  __libc_free(place);
}

}  // extern "C"

#endif

namespace leto::fuzz {
namespace {

constexpr size_t kPiece = 100000;
// The address sanitizer's realloc() always holds both the old piece and the new one while it copies. The thread
// sanitizer's does, too, but says that the old one is gone before it speaks of the new one.
#ifdef __SANITIZE_ADDRESS__
constexpr size_t kGrownPieces = 4;
#else
constexpr size_t kGrownPieces = 3;
#endif
// What an allocator may add to a few pieces.
constexpr size_t kSlack = 4096;

// What the compiler may not leave out.
void take_and_give(size_t bytes) {
  void* place = std::malloc(bytes);
  asm volatile("" : "+r"(place) : : "memory");
  std::free(place);
}

void check_about(uint64_t held, uint64_t expected) {
  CHECK(held >= expected);
  CHECK(held <= expected + kSlack);
}

}  // namespace

TEST_CASE("what is held at once is counted, not what is taken in all") {
  check_about(most_held([] {
                for (int i = 0; i < 10; ++i) take_and_give(kPiece);
              }),
              kPiece);
  check_about(most_held([] {
                std::vector<std::unique_ptr<char[]>> pieces(10);
                for (auto& piece : pieces) piece = std::make_unique<char[]>(kPiece);
              }),
              10 * kPiece);
  check_about(most_held([] {}), 0);
}

TEST_CASE("memory of C libraries, and what grows, is counted too; another thread's is not") {
  check_about(most_held([] {
                void* place = std::malloc(kPiece);
                place = std::realloc(place, 3 * kPiece);
                std::free(place);
                std::free(std::calloc(2, kPiece));
              }),
              kGrownPieces * kPiece);
  redisReader* const reader = redisReaderCreateWithFunctions(nullptr);
  CHECK(most_held([reader] { redisReaderFeed(reader, std::string(kPiece, 'x').data(), kPiece); }) >= 2 * kPiece);
  redisReaderFree(reader);
  check_about(most_held([] {
                std::jthread([] { take_and_give(kPiece); });
              }),
              0);
}

}  // namespace leto::fuzz
