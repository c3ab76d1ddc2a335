// What is no longer needed and too large to be freed at once: dirty sets whose cut is done, and the
// dictionaries and lists of a keyspace that was replaced. Freed in bounded steps. Private to keyspace/.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "keyspace/erased.h"

namespace leto::keyspace {

class Dictionary;
class DirtySet;

class Graveyard {
 public:
  Graveyard();
  ~Graveyard();
  Graveyard(const Graveyard&) = delete;
  Graveyard& operator=(const Graveyard&) = delete;

  void bury(std::unique_ptr<Dictionary> dictionary);
  void bury(std::unique_ptr<DirtySet> set);
  // The list alone: the nodes go with their dictionaries.
  void bury(ErasedList list);
  // Digs in `other` too, as long as something is in it or somebody may yet bury something there.
  void adopt(std::shared_ptr<Graveyard> other);

  // Frees up to `count` items.
  void dig(size_t count);
  bool is_empty() const;

 private:
  std::vector<std::unique_ptr<Dictionary>> dictionaries_;
  std::vector<std::unique_ptr<DirtySet>> sets_;
  std::vector<ErasedList> lists_;
  std::vector<std::shared_ptr<Graveyard>> adopted_;
};

}  // namespace leto::keyspace
