// How fast raft.db is on a real disk, beside a bare fdatasync loop on the same one. Not part of the tests:
//   LETO_BENCH_DIR=/some/disk bin/leto-tests --no-skip -tc='bench: *'
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include "tests/storage/support.h"

namespace leto::storage {

namespace {

using Clock = std::chrono::steady_clock;

constexpr double kSeconds = 1.5;
constexpr size_t kFrameBytes = 4096 + 24;
constexpr size_t kBareFileBytes = 16 << 20;

double microseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

// Runs `step` again and again, and prints its rate and latencies; `rows` is what one step does.
void measure(const char* name, size_t rows, const std::function<void()>& step) {
  std::vector<double> each;
  const Clock::time_point start = Clock::now();
  while (microseconds(Clock::now() - start) < kSeconds * 1e6) {
    const Clock::time_point before = Clock::now();
    step();
    each.push_back(microseconds(Clock::now() - before));
  }
  const double seconds = microseconds(Clock::now() - start) / 1e6;
  std::sort(each.begin(), each.end());
  std::printf("%-28s %8.0f rows/s  %6.0f syncs/s  p50 %5.0f us  p99 %5.0f us\n", name,
              static_cast<double>(each.size() * rows) / seconds, static_cast<double>(each.size()) / seconds,
              each[each.size() / 2], each[each.size() * 99 / 100]);
}

void measure_bare(const std::string& directory) {
  const int file = ::open((directory + "/bare").c_str(), O_RDWR | O_CREAT, 0600);
  REQUIRE(file >= 0);
  const std::string zeros(kBareFileBytes, '\0'), frame(kFrameBytes, 'x');
  REQUIRE(::pwrite(file, zeros.data(), zeros.size(), 0) == static_cast<ssize_t>(zeros.size()));
  REQUIRE(::fdatasync(file) == 0);
  size_t step = 0;
  measure("bare pwrite and fdatasync", 1, [&] {
    const auto offset = static_cast<off_t>(step++ % 1000 * kFrameBytes);
    REQUIRE(::pwrite(file, frame.data(), frame.size(), offset) == static_cast<ssize_t>(frame.size()));
    REQUIRE(::fdatasync(file) == 0);
  });
  ::close(file);
}

void measure_log(const std::string& directory, size_t batch) {
  LogStoreOptions options;
  options.directory = directory;
  const auto store = open_log(options);
  const auto payload = std::make_shared<const std::string>(100, 'x');
  raft::Index last = store->recovered().last.index;
  measure(("raft.db, entries a commit: " + std::to_string(batch)).c_str(), batch, [&] {
    LogWrite write;
    for (size_t i = 0; i < batch; ++i) {
      write.append.push_back(
          {.id = {.term = 1, .index = ++last}, .kind = raft::EntryKind::kCommands, .payload = payload});
    }
    REQUIRE(store->write({write}) == WriteResult::kDurable);
    if (store->checkpoint_due()) REQUIRE(store->checkpoint().is_ok());
  });
  REQUIRE(store->close().is_ok());
}

}  // namespace

TEST_CASE("bench: raft.db beside a bare fdatasync loop" * doctest::skip()) {
  const char* wanted = std::getenv("LETO_BENCH_DIR");
  const std::filesystem::path root = wanted ? wanted : std::filesystem::temp_directory_path();
  const std::string directory = (root / "leto-bench").string();
  std::filesystem::create_directories(directory);
  measure_bare(directory);
  for (const size_t batch : {1U, 8U, 128U, 1024U}) measure_log(directory, batch);
  measure_bare(directory);
  std::filesystem::remove_all(directory);
}

}  // namespace leto::storage
