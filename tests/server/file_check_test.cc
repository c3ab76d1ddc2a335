#include "server/file_check.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/server/data_directory.h"

namespace leto::server {
namespace {

std::string refusal_of(const Options& options) {
  const base::Status status = check_files(options);
  return status.is_ok() ? "" : status.text();
}

TEST_CASE("a log or a unix socket that cannot be made is refused with the reason, before anything is made") {
  DataDirectory directory;
  Options& options = directory.options;
  options.raftdir = directory.path + "/data";
  options.logfile = "/nosuch/x";
  CHECK(refusal_of(options) == "logfile: cannot open '/nosuch/x': No such file or directory");
  options.logfile = directory.path;
  CHECK(refusal_of(options) == "logfile: cannot open '" + directory.path + "': Is a directory");
  std::ofstream(directory.path + "/file").put('x');
  options.logfile = directory.path + "/file/log";
  CHECK(refusal_of(options) == "logfile: cannot open '" + options.logfile + "': Not a directory");
  options.logfile.clear();
  options.unixsocket = "/nosuch/x";
  CHECK(refusal_of(options) == "unixsocket: '/nosuch/x' cannot be made: No such file or directory");
  options.unixsocket = directory.path + "/file/socket";
  CHECK(refusal_of(options) == "unixsocket: '" + options.unixsocket + "' cannot be made: Not a directory");
  CHECK_FALSE(std::filesystem::exists(options.raftdir));
}

TEST_CASE("a log and a unix socket may be there, or lie in a data directory that is not there yet") {
  DataDirectory directory;
  Options& options = directory.options;
  options.raftdir = directory.path + "/data";
  CHECK(refusal_of(options).empty());
  options.logfile = options.raftdir + "/log";
  options.unixsocket = options.raftdir + "/socket";
  CHECK(refusal_of(options).empty());
  options.logfile = directory.path + "/file";
  options.unixsocket = "socket";
  CHECK(refusal_of(options).empty());
  std::ofstream(options.logfile).put('x');
  CHECK(refusal_of(options).empty());
  options.logfile = options.raftdir + "/logs/log";
  CHECK_FALSE(refusal_of(options).empty());
}

}  // namespace
}  // namespace leto::server
