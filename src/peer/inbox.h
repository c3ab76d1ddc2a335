// What one connection brings once its handshake is done: frame after frame becomes a message, or a part of one.
// Refuses to know where the bytes come from, and what a message says beyond its route. After an error the
// connection is to be closed, and nothing more of it taken.
#pragma once

#include "base/status.h"
#include "peer/frame.h"
#include "peer/parts.h"

namespace leto::peer {

class Inbox {
 public:
  // The next frame; an error (of a type that has no place here, malformed, out of order) names what is wrong with it.
  base::Result<PartArrival> take(const Frame& frame);

 private:
  PartAssembler parts_;
};

}  // namespace leto::peer
