// Whether a start can make the files that it makes outside of the data directory, asked before that one is touched: a start that
// is refused leaves nothing behind. What is true now may be false when they are made; then it is said there.
#pragma once

#include "base/status.h"
#include "server/options.h"

namespace leto::server {

// Of logfile and unixsocket. An error is one sentence that names the option and why.
base::Status check_files(const Options& options);

}  // namespace leto::server
