// The text of INFO: Redis's sections with the fields that tools read, and Leto's own `# Raft`.
#pragma once

#include <string>
#include <vector>

#include "server/environment.h"
#include "server/stats.h"

namespace leto::server {

class DiskFloor;
class Flusher;
class Node;
class Replica;
class SnapshotReceiver;
class SnapshotSender;

struct InfoSource {
  const Node& node;
  const Stats& stats;
  const Replica& replica;
  const Flusher& flusher;
  const DiskFloor& disk_floor;
  const SnapshotSender& sender;
  const SnapshotReceiver& receiver;
  const Environment& environment;
  size_t clients = 0;
};

// `sections`: lower case names; empty: the default ones; "all", "default" and "everything" as in Redis.
std::string info_text(const InfoSource& source, const std::vector<std::string>& sections);

}  // namespace leto::server
