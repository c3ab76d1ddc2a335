// The note that a member told this node of its removal, so that it knows after a restart, too, when nobody can tell it. A node that
// hears of it from the log needs none. Refuses to know who may say so, and whether it is believed.
#pragma once

#include <string>

#include "base/status.h"
#include "raft/types.h"

namespace leto::server {

// Durable when it returns. `sentence` is one line.
base::Status note_removal(const std::string& directory, raft::NodeId node, const std::string& sentence);
// The sentence; empty if there is none, or if it is about another node: this one has another uid now.
std::string noted_removal(const std::string& directory, raft::NodeId node);
// No error if there is no such note.
base::Status forget_removal(const std::string& directory);

}  // namespace leto::server
