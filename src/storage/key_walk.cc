// Walking around pages that cannot be read; see key_walk.h.
#include "storage/key_walk.h"

#include <sqlite3.h>

#include <algorithm>

namespace leto::storage {

namespace {

constexpr size_t kProbedBytes = 64;   // Of a key: those behind them are not tried out.

// Texts behind a key, further and further away: first as near as its last byte tells, in the end as its first one.
class Upwards {
 public:
  explicit Upwards(const std::string& key) : text_(key.substr(0, kProbedBytes)) {}
  std::optional<std::string> next() {
    while (byte_ > UINT8_MAX && !text_.empty()) {
      byte_ = static_cast<unsigned char>(text_.back()) + 1U;
      text_.pop_back();
    }
    if (byte_ > UINT8_MAX) return {};
    return text_ + static_cast<char>(byte_++);
  }

 private:
  std::string text_;
  unsigned byte_ = 0;   // To stand behind it next.
};

// The same before a key.
class Downwards {
 public:
  explicit Downwards(const std::string& key) : text_(key.substr(0, kProbedBytes)) {}
  std::optional<std::string> next() {
    while (byte_ == 0 && !text_.empty()) {
      byte_ = static_cast<unsigned char>(text_.back());
      text_.pop_back();
    }
    if (byte_ == 0) return {};
    return text_ + static_cast<char>(--byte_);
  }

 private:
  std::string text_;
  unsigned byte_ = 0;   // One more than is to stand behind it next.
};

}  // namespace

base::Status KeyWalk::open(const std::string& table, const std::string& columns) {
  const std::string from = " FROM " + table + " WHERE key ";
  return database_.prepare_all({{&up_, "SELECT " + columns + from + ">= ? ORDER BY key"},
                                {&down_, "SELECT " + columns + from + "> ? AND key < ? ORDER BY key DESC"},
                                {&down_from_end_, "SELECT " + columns + from + "> ? ORDER BY key DESC"},
                                {&probe_, "SELECT key" + from + ">= ? ORDER BY key LIMIT 1"}});
}

void KeyWalk::run(const Visit& visit, const Gap& gap) {
  Range all;
  if (go_up("", all, visit)) return;
  gap(all.low);
  go_down(all, visit);
  unknown_.assign(1, all);
  while (!unknown_.empty()) {
    const Range range = std::move(unknown_.back());
    unknown_.pop_back();
    const std::optional<std::string> found = find_between(range);
    if (!found) continue;
    Range below{.low = range.low, .high = found}, behind{.low = *found, .high = range.high};
    const bool is_whole = go_up(*found, behind, visit);
    go_down(below, visit);
    unknown_.push_back(below);
    if (is_whole) continue;
    gap(behind.low);
    unknown_.push_back(behind);
  }
}

// True if it came to the end of the range; else its beginning is the last key before the place that cannot be read.
bool KeyWalk::go_up(const std::string& from, Range& range, const Visit& visit) {
  const StatementScope scope(up_);
  up_.bind_blob(1, from);
  int code = up_.step();
  for (bool is_first = true; code == SQLITE_ROW; is_first = false, code = up_.step()) {
    const std::string_view key = up_.bytes(0);
    if (range.high && key >= *range.high) return true;
    if (is_first ? key < from : key <= range.low) return false;
    range.low = key;
    visit(up_);
  }
  return code == SQLITE_DONE;
}

// From its end, which becomes the first key behind the place that cannot be read.
void KeyWalk::go_down(Range& range, const Visit& visit) {
  const Range given = range;
  Statement& down = given.high ? down_ : down_from_end_;
  const StatementScope scope(down);
  down.bind_blob(1, given.low);
  if (given.high) down.bind_blob(2, *given.high);
  while (down.step() == SQLITE_ROW) {
    const std::string_view key = down.bytes(0);
    if (key <= range.low || (range.high && key >= *range.high)) return;
    range.high = key;
    visit(down);
  }
}

// A key that can be read, from either end.
std::optional<std::string> KeyWalk::find_between(const Range& range) {
  std::optional<std::string> found;
  for (Upwards texts(range.low); std::optional<std::string> text = texts.next();) {
    if (range.high && *text >= *range.high) break;
    if (probe(*text, range, found) == Probe::kNone) break;
    if (found) return found;
  }
  if (!range.high) return {};
  for (Downwards texts(*range.high); std::optional<std::string> text = texts.next();) {
    if (*text <= range.low) break;
    probe(*text, range, found);
    if (found) return found;
  }
  return {};
}

// Looks for the first key from `text` on.
KeyWalk::Probe KeyWalk::probe(const std::string& text, const Range& range, std::optional<std::string>& found) {
  if (++probes_ > kProbesMax) return Probe::kNone;
  const StatementScope scope(probe_);
  probe_.bind_blob(1, text);
  const int code = probe_.step();
  if (code == SQLITE_DONE) return Probe::kNone;
  if (code != SQLITE_ROW) return Probe::kUnreadable;
  const std::string_view key = probe_.bytes(0);
  if (range.high && key >= *range.high) return Probe::kNone;
  if (key > range.low) found = key;
  return Probe::kFound;
}

}  // namespace leto::storage
