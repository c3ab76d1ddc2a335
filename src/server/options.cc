// Where options come from: the command line and leto.conf; and -h.
#include "server/options.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <set>

#include "base/format.h"
#include "resp/split_line.h"
#include "server/option_table.h"

namespace leto::server {
namespace {

using base::Result;
using base::Status;

constexpr size_t kConfBytesMax = 1 << 20;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

std::string quoted(std::string_view text) {
  return "'" + std::string(text) + "'";
}

Status unknown_option(std::string_view name) {
  const std::string_view here = name_in_leto(name);
  if (!here.empty()) return Status::error("unknown option " + quoted(name) + ": Leto calls it " + quoted(here));
  if (find_inert_parameter(name) != nullptr) {
    return Status::error("unknown option " + quoted(name) + ": it is Redis's and means nothing in Leto");
  }
  return Status::error("unknown option " + quoted(name) + "; leto -h lists the options");
}

// One source of options: remembers what it gave, since a second time is a mistake.
class Source {
 public:
  explicit Source(Options& options) : options_(options) {}

  Status set(std::string_view name, std::string_view value) {
    const Option* option = find_option(name);
    if (option == nullptr) return unknown_option(name);
    if (!given_.insert(option->name).second) return Status::error("option " + quoted(option->name) + " is given twice");
    Status status = set_option(options_, *option, value);
    if (status.is_ok()) return status;
    return Status::error("bad value " + quoted(value) + " for option " + quoted(option->name) + ": " + status.text());
  }

 private:
  Options& options_;
  std::set<std::string_view> given_;
};

// leto.conf ------------------------------------------------------------------------------------

Status set_from_line(Source& source, std::string_view line) {
  // A comment is not split: it may have an apostrophe in it.
  const size_t start = line.find_first_not_of(" \t\r");
  if (start != std::string_view::npos && line[start] == '#') return Status::ok();
  std::vector<std::string> words;
  if (!resp::split_line(line, words)) return Status::error("unbalanced quotes");
  if (words.empty()) return Status::ok();
  const std::string& name = words.front();
  const Option* option = find_option(name);
  if (option == nullptr) return unknown_option(name);
  if (words.size() == 1) return Status::error("option " + quoted(name) + " needs a value");
  // Only the output limits are several words.
  if (words.size() > 2 && option->type.kind != ValueKind::kOutputLimits) {
    return Status::error("option " + quoted(name) + " takes one value; quote it if it has spaces in it");
  }
  std::string value = words[1];
  for (size_t position = 2; position < words.size(); ++position) value += " " + words[position];
  return source.set(name, value);
}

Result<std::string> read_file(const std::string& name) {
  const auto failed = [&](const char* why) { return Status::error("cannot read " + name + ": " + why); };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(name.c_str(), "re"), &std::fclose);
  if (!file) return failed(std::strerror(errno));
  std::string text(kConfBytesMax + 1, '\0');
  errno = 0;
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0) return failed(std::strerror(errno));
  if (text.size() > kConfBytesMax) return failed("a configuration file has at most 1 MiB");
  return text;
}

// The command line -----------------------------------------------------------------------------

class Arguments {
 public:
  Arguments(int argc, const char* const* argv) : left_(argv + (argc > 0 ? 1 : 0), argv + argc) {}
  bool empty() const { return left_.empty(); }
  std::string_view next() const { return left_.front(); }
  std::string_view take() {
    const std::string_view first = left_.front();
    left_ = left_.subspan(1);
    return first;
  }

 private:
  std::span<const char* const> left_;
};

constexpr std::string_view kNewCluster = "new-cluster";

// "-x" and "--x" without their dashes; nothing for what is no option.
std::optional<std::string_view> option_body(std::string_view argument) {
  if (!argument.starts_with('-')) return std::nullopt;
  argument.remove_prefix(argument.starts_with("--") ? 2 : 1);
  return argument;
}

bool is_option(std::string_view argument) {
  const std::optional<std::string_view> body = option_body(argument);
  return body && find_option(body->substr(0, body->find('='))) != nullptr;
}

Status take_option(std::string_view body, Arguments& arguments, Source& source) {
  const size_t equals = body.find('=');
  if (equals != std::string_view::npos) return source.set(body.substr(0, equals), body.substr(equals + 1));
  if (find_option(body) == nullptr) return unknown_option(body);
  // A name of an option is no value; `-id=-join` says so if it is meant.
  if (arguments.empty() || is_option(arguments.next())) {
    return Status::error("option " + quoted(body) + " needs a value");
  }
  return source.set(body, arguments.take());
}

bool is_word(std::string_view body, std::string_view name) {
  return body.starts_with(name) && (body.size() == name.size() || body[name.size()] == '=');
}

// The directory of --check and --recover: `body` is the option, perhaps with =DIR.
Status take_directory(std::string_view body, Arguments& arguments, std::string& directory) {
  const size_t equals = body.find('=');
  if (equals != std::string_view::npos) directory = body.substr(equals + 1);
  else if (!arguments.empty() && !option_body(arguments.next())) directory = arguments.take();
  if (!directory.empty()) return Status::ok();
  return Status::error("--" + std::string(body.substr(0, equals)) + " needs a data directory");
}

Status take_check(std::string_view body, Arguments& arguments, CommandLine& line) {
  if (Status status = take_directory(body, arguments, line.check_wanted); !status.is_ok()) return status;
  if (arguments.empty()) return Status::ok();
  return Status::error("unexpected argument " + quoted(arguments.next()) + ": --check DIR takes no more");
}

Status take_recover(std::string_view body, Arguments& arguments, CommandLine& line) {
  if (Status status = take_directory(body, arguments, line.recover_wanted); !status.is_ok()) return status;
  if (arguments.empty()) return Status::ok();
  if (!line.new_cluster && option_body(arguments.next()) == kNewCluster) {
    line.new_cluster = true;
    arguments.take();
  }
  if (arguments.empty()) return Status::ok();
  return Status::error("unexpected argument " + quoted(arguments.next()) + ": --recover DIR --new-cluster takes no more");
}

// Said before --recover it means the same.
Status take_new_cluster(Arguments& arguments, CommandLine& line) {
  line.new_cluster = true;
  const std::optional<std::string_view> body = arguments.empty() ? std::nullopt : option_body(arguments.take());
  if (body && is_word(*body, "recover")) return take_recover(*body, arguments, line);
  return Status::error("--new-cluster belongs to --recover DIR");
}

Status take_conf_file(std::string_view name, CommandLine& line) {
  line.conf_file = name;
  Result<std::string> text = read_file(line.conf_file);
  if (!text.is_ok()) return text.take_status();
  return parse_conf(text.value(), name, line.options);
}

Status take_all(Arguments arguments, CommandLine& line) {
  if (!arguments.empty() && !option_body(arguments.next())) {
    Status status = take_conf_file(arguments.take(), line);
    if (!status.is_ok()) return status;
  }
  Source source(line.options);
  while (!arguments.empty()) {
    const std::string_view argument = arguments.take();
    const std::optional<std::string_view> body = option_body(argument);
    if (!body) {
      return Status::error("unexpected argument " + quoted(argument) + ": options are written -name value, " +
                           "a configuration file comes before them");
    }
    line.help_wanted = *body == "h" || *body == "help";
    line.version_wanted = *body == "v" || *body == "version";
    if (line.help_wanted || line.version_wanted) return Status::ok();
    if (is_word(*body, "check")) return take_check(*body, arguments, line);
    if (is_word(*body, "recover")) return take_recover(*body, arguments, line);
    if (*body == kNewCluster) return take_new_cluster(arguments, line);
    Status status = take_option(*body, arguments, source);
    if (!status.is_ok()) return status;
  }
  return check_together(line.options);
}

// -h -------------------------------------------------------------------------------------------

std::string shown_default(const Option& option) {
  if (option.default_text.empty()) return "";
  const bool quotes = option.type.kind == ValueKind::kAddress || option.type.kind == ValueKind::kPath;
  std::string text(option.default_text);
  if (quotes) text = '"' + text + '"';
  if (!option.unit.empty()) text += " " + std::string(option.unit);
  return "(default " + text + ")";
}

std::string usage_line(const Option& option, int name_width, int help_width) {
  const std::string name = "-" + std::string(option.name);
  const std::string shown = shown_default(option);
  if (shown.empty()) return base::format("  %-*s %s\n", name_width, name.c_str(), option.help.data());
  return base::format("  %-*s %-*s %s\n", name_width, name.c_str(), help_width, option.help.data(), shown.c_str());
}

}  // namespace

base::Status parse_conf(std::string_view text, std::string_view name, Options& options) {
  if (text.starts_with(kByteOrderMark)) {
    return Status::error(std::string(name) + ":1: the file begins with a UTF-8 byte order mark; save it without one");
  }
  Options changed = options;
  Source source(changed);
  for (size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    Status status = set_from_line(source, line);
    if (!status.is_ok()) {
      return Status::error(base::format("%.*s:%zu: %s", static_cast<int>(name.size()), name.data(), number,
                                        status.text().c_str()));
    }
  }
  options = std::move(changed);
  return Status::ok();
}

base::Result<CommandLine> parse_command_line(int argc, const char* const* argv) {
  CommandLine line;
  Status status = take_all(Arguments(argc, argv), line);
  if (!status.is_ok()) return status;
  return line;
}

std::string usage() {
  std::string text =
      "Usage: leto [leto.conf] [-option value]...\n"
      "\n"
      "A key-value server that speaks the Redis protocol and never loses an acknowledged write.\n"
      "Options of the command line override those of the file.\n"
      "\n";
  const std::span<const Option> table = option_table();
  constexpr int kBasicNameWidth = 9;
  constexpr int kBasicHelpWidth = 21;
  for (const Option& option : table.first(kBasicOptions)) text += usage_line(option, kBasicNameWidth, kBasicHelpWidth);
  text += "  -h        usage\n";
  text += "  -v        version\n";
  text += "  --check DIR  examine the data directory of a node that does not run; exit 0 if it is sound\n";
  text += "  --recover DIR --new-cluster  from the last survivor of a lost majority; may lose writes\n\n";
  text += "More options; leto.conf explains each of them:\n\n";
  constexpr int kNameWidth = 27;
  for (const Option& option : table.subspan(kBasicOptions)) text += usage_line(option, kNameWidth, 0);
  return text;
}

}  // namespace leto::server
