// Writes replies in RESP2 or RESP3 at the end of a std::string. Refuses to know who reads them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace leto::resp {

class Reply {
 public:
  // Appends to `out`, which must outlive this. `protocol` is 2 or 3.
  Reply(std::string& out, int protocol) : out_(out), protocol_(protocol) {}

  void status(std::string_view text);          // "+text\r\n"
  void ok() { status("OK"); }
  // "-text\r\n": the text starts with its code, "ERR ..." ; CR and LF in it become spaces.
  void error(std::string_view text);
  void integer(int64_t value);
  void bulk(std::string_view bytes);
  void nil();                                  // "$-1" or "_"
  void nil_array();                            // "*-1" or "_"
  void array(size_t count);
  void map(size_t pairs);                      // An array of 2 * pairs in RESP2.
  void set(size_t count);                      // An array in RESP2.
  void boolean(bool value);                    // :1 / :0 in RESP2.
  void number(double value);                   // A bulk in RESP2.
  void verbatim(std::string_view text);        // txt; a bulk in RESP2.
  void push(size_t count);                     // An array in RESP2.
  void raw(std::string_view reply) { out_.append(reply); }   // What is a reply, or the begin of one, already.

  // Of `out`, as far as it was filled.
  size_t bytes() const { return out_.size(); }
  int protocol() const { return protocol_; }
  void set_protocol(int protocol) { protocol_ = protocol; }
  bool wrote_error() const { return !error_code_.empty(); }   // An error was written since construction.
  // The first word of the last error written; empty if there was none.
  const std::string& error_code() const { return error_code_; }

 private:
  std::string& out_;
  int protocol_;
  std::string error_code_;
};

}  // namespace leto::resp
