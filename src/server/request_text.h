// Requests as this node sends them to another one's client port. Refuses to know the answers.
#pragma once

#include <string>
#include <vector>

#include "server/options.h"

namespace leto::server {

// One request in RESP.
std::string request_text(const std::vector<std::string>& words);
// AUTH as -join-user and -join-password, or requirepass, say it; empty if there is no password.
std::string auth_request_text(const Options& options);

}  // namespace leto::server
