// Which hiredis this was built with: for `leto -v`.
#pragma once

#include <string>

namespace leto::resp {

// "1.1.0"; of the header, since the library does not tell.
std::string hiredis_version();

}  // namespace leto::resp
