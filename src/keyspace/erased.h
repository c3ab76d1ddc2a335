// Nodes of erased keys, which are freed later. A list of millions grows, and goes, in small steps: a vector would move all
// of them when it grows. Private to keyspace/.
#pragma once

#include <cstdint>
#include <deque>

namespace leto::keyspace {

struct Node;

struct Erased {
  uint64_t space = 0;     // Number of its namespace;
  Node* node = nullptr;   // dangling once that is gone.
};

using ErasedList = std::deque<Erased>;

}  // namespace leto::keyspace
