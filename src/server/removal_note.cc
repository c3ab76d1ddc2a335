#include "server/removal_note.h"

#include <algorithm>

#include "base/format.h"
#include "storage/aside.h"

namespace leto::server {

namespace {

std::string path_in(const std::string& directory) { return directory + "/removed"; }

std::string first_line(raft::NodeId node) { return base::format("node %016llx\n", static_cast<unsigned long long>(node)); }

}  // namespace

base::Status note_removal(const std::string& directory, raft::NodeId node, const std::string& sentence) {
  return storage::write_note(path_in(directory), first_line(node) + sentence + "\n");
}

std::string noted_removal(const std::string& directory, raft::NodeId node) {
  const std::string text = storage::read_note(path_in(directory));
  const std::string first = first_line(node);
  if (!text.starts_with(first)) return {};
  return text.substr(first.size(), text.find('\n', first.size()) - first.size());
}

base::Status forget_removal(const std::string& directory) { return storage::remove_note(path_in(directory)); }

}  // namespace leto::server
