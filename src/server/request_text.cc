#include "server/request_text.h"

#include "base/format.h"

namespace leto::server {

std::string request_text(const std::vector<std::string>& words) {
  std::string out = base::format("*%zu\r\n", words.size());
  for (const std::string& word : words) out += base::format("$%zu\r\n", word.size()) + word + "\r\n";
  return out;
}

std::string auth_request_text(const Options& options) {
  const std::string& password = options.cluster_password();
  if (password.empty()) return {};
  if (options.join_user.empty()) return request_text({"AUTH", password});
  return request_text({"AUTH", options.join_user, password});
}

}  // namespace leto::server
