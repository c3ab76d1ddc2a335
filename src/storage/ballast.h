// A file that only takes up room, to be given away when raft.db finds the disk full: so that the job under way, and the
// compaction that makes room for good, can run. Refuses to know of databases. A failure here is none of the node's: without
// a ballast it is as well off as on a disk that is full at once.
#pragma once

#include <cstdint>
#include <string>

namespace leto::storage {

class Ballast {
 public:
  // The file DIRECTORY/ballast. `bytes` 0: none is wanted.
  Ballast(const std::string& directory, std::string vfs, uint64_t bytes);

  // Makes it if it is wanted and not there whole; only where as much room again is left, so that it is not made from the
  // last that the log has. Writes up to twice its size.
  void make();
  // True if there was one, and its room is free now.
  bool give_away();
  bool is_there() const { return is_there_; }
  uint64_t bytes() const { return bytes_; }

 private:
  bool write();

  const std::string path_, vfs_;
  const uint64_t bytes_;
  bool is_there_ = false;
};

}  // namespace leto::storage
