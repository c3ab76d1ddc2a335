// Makes values. Two allocations for a string above 15 bytes, one for a shorter one.
#include "keyspace/value.h"

#include <utility>

namespace leto::keyspace {

ValueRef make_string(std::string bytes) {
  return std::make_shared<const Value>(Value{.type = Type::kString, .string = std::move(bytes)});
}

}  // namespace leto::keyspace
