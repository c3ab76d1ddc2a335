// What a command may know and change of the connection it came over. The connection itself is elsewhere.
#pragma once

#include <cstdint>
#include <string>

#include "command/transaction.h"

namespace leto::command {

struct Client {
  uint64_t id = 0;
  std::string name;              // CLIENT SETNAME
  std::string library_name;      // CLIENT SETINFO
  std::string library_version;
  std::string address;           // ip:port of the other side, or path:0 for a unix socket.
  std::string local_address;
  std::string forwarding_host;   // Of the other machine whose node has the client; empty: this machine's has it.
  bool on_unix_socket = false;
  int file_descriptor = -1;      // For CLIENT LIST only.
  uint32_t database = 0;
  int protocol = 2;
  bool authenticated = true;
  bool readonly = false;         // READONLY
  bool close_after_reply = false;  // QUIT, protocol errors.
  uint64_t created_ms = 0;       // Monotonic.
  uint64_t last_active_ms = 0;
  std::string last_command;      // "client|list", as CLIENT LIST shows it.
  size_t query_buffer_bytes = 0;
  size_t output_buffer_bytes = 0;
  Transaction transaction;
};

}  // namespace leto::command
