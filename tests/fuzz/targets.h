// What the fuzzers feed: one function for each kind of bytes that comes from strangers, files or peers. Each takes any
// bytes, and aborts if what it calls breaks a promise; the fuzzer watches for crashes, leaks and memory. Refuses to
// know where the bytes come from: fuzzer.cc brings new ones, corpus_test.cc those that are kept.
#pragma once

#include <span>
#include <string_view>

namespace leto::fuzz {

struct Target {
  const char* name;                    // Of its folder in tests/fuzz/corpus, too.
  void (*run)(std::string_view bytes);
};

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

inline constexpr Target kTargets[] = {
    {"requests", parse_requests},   {"conf", parse_conf_file}, {"entry", read_entry},
    {"exec", take_exec},
    {"configuration", read_configuration}, {"frames", read_frames},   {"handshake", shake_hands},
    {"log", open_log},              {"keys", open_keys},       {"snapshot", receive_snapshot},
};
inline std::span<const Target> targets() { return kTargets; }

}  // namespace leto::fuzz
