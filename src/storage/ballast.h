// A file that only takes up room, to be given away when raft.db finds the disk full: so that the job under way, and the
// compaction that makes room for good, can run. Refuses to know of databases. A failure here is none of the node's: without
// a ballast it is as well off as on a disk that is full at once.
#pragma once

#include <cstdint>
#include <string>

namespace leto::storage {

class Ballast {
 public:
  // What one make() writes at the most, so that the job it is in stays short.
  static constexpr uint64_t kStepBytes = 32 << 20;

  // The file DIRECTORY/ballast. `bytes` 0: none is wanted.
  Ballast(const std::string& directory, std::string vfs, uint64_t bytes);

  // Takes the one of the process before for its own if it is whole; else what there is goes. Nothing where none is wanted.
  void find();
  // The next part of it, if it is not there whole. False if that could not be written: then nothing of it is there. It is made
  // only where as much room again is left, so that it is not made from the last that the log has: it is written twice as large,
  // and cut.
  bool make();
  // True if there was one, or a part, and its room is free now.
  bool give_away();
  bool is_there() const { return is_there_; }
  // That must be free for it to be made, with what is written of it already.
  uint64_t wanted_bytes() const { return 2 * bytes_ - written_; }

 private:
  bool write_part();

  const std::string path_, vfs_;
  const uint64_t bytes_;
  bool is_there_ = false;
  uint64_t written_ = 0;   // Of one that is not there whole.
};

}  // namespace leto::storage
