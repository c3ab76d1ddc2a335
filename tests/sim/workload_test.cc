#include "tests/sim/workload.h"

#include <doctest/doctest.h>

using leto::sim::is_refusal;
using leto::sim::redirected_to;

TEST_CASE("workload: a redirect is a refusal that says where to ask, any other one does not") {
  CHECK(is_refusal("MOVED 12182 10.0.0.2:5379"));
  CHECK(redirected_to("MOVED 12182 10.0.0.2:5379") == "10.0.0.2:5379");
  CHECK(is_refusal("not leader"));
  CHECK(redirected_to("not leader") == "");
  CHECK(redirected_to("CLUSTERDOWN no leader") == "");
  CHECK_FALSE(is_refusal("UNKNOWN outcome"));
}
