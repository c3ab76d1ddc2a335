#include "resp/library_version.h"

#include <hiredis/hiredis.h>

#include "base/format.h"

namespace leto::resp {

std::string hiredis_version() { return base::format("%d.%d.%d", HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH); }

}  // namespace leto::resp
