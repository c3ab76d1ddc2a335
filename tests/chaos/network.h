// Where the nodes live and what lies between them: how a node is told to listen, how it is reached, and how the way
// from one node to another is cut or slowed, each direction by itself. Refuses to know processes. Nodes are numbers from 1.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "tests/chaos/stream.h"

namespace leto::chaos {

enum class Cut : uint8_t {
  kSilent,    // Nothing arrives, nothing is said.
  kReset,     // Connections are broken off, where the network can do that; who tries to make one is told at once.
};

class Network {
 public:
  virtual ~Network() = default;

  // What the node's command line says of addresses.
  virtual std::vector<std::string> options(size_t node) const = 0;
  // Where its clients' port is, for this process and for the other nodes.
  virtual Address clients(size_t node) const = 0;
  // In the new process of the node, before its program begins: goes to where the node lives. False: it cannot.
  virtual bool enter(size_t node) const = 0;

  virtual void cut(size_t from, size_t to, Cut how) = 0;
  // What travels from one to the other takes about `delay` longer; where the network has no such means, it gets a narrow way.
  virtual void slow(size_t from, size_t to, Milliseconds delay) = 0;
  // All ways are free again.
  virtual void heal() = 0;
  // The first thing that did not work; empty: all did.
  virtual std::string failure() const { return {}; }
  // "proxies" or so, and what it cannot do here.
  virtual std::string description() const = 0;
};

// In the middle of each connection between nodes, a proxy of this process.
base::Result<std::unique_ptr<Network>> make_proxies(Loop& loop, size_t nodes);
// Each node in a network namespace of its own, and this process in the one of a router between them. Needs root.
// The namespaces have no names: they are gone with the last process that holds them.
base::Result<std::unique_ptr<Network>> make_namespaces(size_t nodes);

}  // namespace leto::chaos
