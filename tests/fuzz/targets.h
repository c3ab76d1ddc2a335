// What the fuzzers feed: one function for each kind of bytes that comes from strangers, files or peers. Each takes any
// bytes, and aborts if what it calls breaks a promise; the fuzzer watches for crashes, leaks and memory. Refuses to
// know where the bytes come from: fuzzer.cc brings new ones, corpus_test.cc those that are kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace leto::fuzz {

struct Target {
  const char* name;                    // Of its folder in tests/fuzz/corpus, too.
  void (*run)(std::string_view bytes);
  // What it may hold at once: so many bytes, and so many more for each byte of its input. Files that a target starts
  // from, and the pages that SQLite keeps of them, are in the first number.
  size_t bytes_always;
  size_t bytes_each;
  uint64_t bound(size_t input_bytes) const { return bytes_always + bytes_each * input_bytes; }
};
// Runs it, without lines of the log, and aborts if it held more than its bound.
void run_within_bound(const Target& target, std::string_view bytes);

// RESP requests, in pieces; leto.conf; the payload of a log entry; a transaction as another node forwards it; a configuration.
void parse_requests(std::string_view bytes);
void parse_conf_file(std::string_view bytes);
void read_entry(std::string_view bytes);
void take_exec(std::string_view bytes);
void read_configuration(std::string_view bytes);
// Frames after the handshake: messages, parts, forwarded requests; and both ends of the handshake.
void read_frames(std::string_view bytes);
void shake_hands(std::string_view bytes);
// Bytes changed in a sound raft.db, in a sound keys file, and in one that comes as a snapshot: three bytes of
// offset and one of content for each.
void open_log(std::string_view bytes);
void open_keys(std::string_view bytes);
void receive_snapshot(std::string_view bytes);
// The first byte says how: a WAL, as it is or changed in a sound one, its checksums as they are or made right.
void scan_strange_wal(std::string_view bytes);
// `leto --check` of a directory whose files were changed, cut, zeroed or removed; what it calls sound has to open.
void check_strange_directory(std::string_view bytes);
// A start on strange notes, LOCK, WAL and files.
void start_in_strange_directory(std::string_view bytes);
// A follower gets chunks of several senders and snapshots in any order, between jobs, ticks and elections; then an honest
// leader must bring it up to date.
void receive_stream(std::string_view bytes);

inline constexpr Target kTargets[] = {
    {"requests", parse_requests, 192 << 10, 128},
    {"conf", parse_conf_file, 16 << 10, 64},
    {"entry", read_entry, 4 << 10, 64},
    {"exec", take_exec, (16 * 32 + 64) << 10, 256},   // Each database of which it sets a key has a table of 32 KiB.
    {"configuration", read_configuration, 4 << 10, 64},
    {"frames", read_frames, 16 << 10, 160},
    {"handshake", shake_hands, 16 << 10, 16},
    {"log", open_log, 1 << 20, 16},
    {"keys", open_keys, 2 << 20, 16},
    {"snapshot", receive_snapshot, 2 << 20, 16},
    {"wal", scan_strange_wal, 1 << 20, 8},
    {"check", check_strange_directory, 2 << 20, 8},
    {"start", start_in_strange_directory, 3 << 20, 16},
    {"stream", receive_stream, 2 << 20, 64},
};
inline std::span<const Target> targets() { return kTargets; }

}  // namespace leto::fuzz
