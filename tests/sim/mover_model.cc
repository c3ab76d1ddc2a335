#include "tests/sim/mover_model.h"

#include <algorithm>
#include <utility>

namespace leto::sim {

namespace {

using checker::Answer;

constexpr size_t kPossibleMax = 600;

Answer ok() { return {.kind = Answer::Kind::kStatus, .text = "OK"}; }
Answer integer(uint64_t value) { return {.kind = Answer::Kind::kInteger, .text = std::to_string(value)}; }
Answer no_such_key() { return {.kind = Answer::Kind::kError, .text = "ERR no such key"}; }

// Of a request that names it by one digit.
uint32_t database_of(const std::string& name) { return static_cast<uint32_t>(name[0] - '0'); }

uint32_t place_of(uint32_t database, const std::string& key) {
  return database * MoverModel::kKeys + static_cast<uint32_t>(key[1] - '0');
}

}  // namespace

uint32_t MoverModel::number_of(const std::string& value) {
  const auto [found, is_new] = numbers_.emplace(value, texts_.size());
  if (is_new) texts_.push_back(value);
  return found->second;
}

Answer MoverModel::rename(Values& values, uint32_t database, const Request& request) const {
  uint32_t& from = values[place_of(database, request[1])];
  uint32_t& to = values[place_of(database, request[2])];
  const bool only_new = request[0] == "RENAMENX";
  if (from == 0) return no_such_key();
  if (only_new && to != 0) return integer(0);
  if (&from != &to) to = std::exchange(from, 0);
  return only_new ? integer(1) : ok();
}

Answer MoverModel::apply(Values& values, uint32_t database, const Request& request) const {
  const std::string& name = request[0];
  const auto begin = values.begin() + database * kKeys;
  if (name == "RENAME" || name == "RENAMENX") return rename(values, database, request);
  if (name == "SET") values[place_of(database, request[1])] = numbers_.at(request[2]);
  if (name == "FLUSHDB") std::fill_n(begin, kKeys, 0U);
  if (name == "SWAPDB" && request[1] != request[2]) {
    const auto one = values.begin() + database_of(request[1]) * kKeys;
    std::swap_ranges(one, one + kKeys, values.begin() + database_of(request[2]) * kKeys);
  }
  if (name == "DEL") return integer(std::exchange(values[place_of(database, request[1])], 0U) != 0 ? 1 : 0);
  if (name == "DBSIZE") return integer(kKeys - static_cast<uint64_t>(std::count(begin, begin + kKeys, 0U)));
  if (name != "GET") return ok();
  const uint32_t value = values[place_of(database, request[1])];
  return value == 0 ? Answer{.kind = Answer::Kind::kNil, .text = ""} : Answer{.kind = Answer::Kind::kBulk, .text = texts_[value]};
}

std::set<MoverModel::Possible> MoverModel::closure() const {
  std::set<Possible> all = possible_;
  std::vector<Possible> waiting(all.begin(), all.end());
  while (!waiting.empty() && all.size() <= kPossibleMax) {
    Possible from = std::move(waiting.back());
    waiting.pop_back();
    from.passed.resize(lanes_.size());
    for (size_t lane = 0; lane < lanes_.size(); ++lane) {
      // One of those that are left is next; those before it never happened.
      for (uint32_t at = from.passed[lane]; at < lanes_[lane].size(); ++at) {
        Possible next = from;
        next.passed[lane] = at + 1;
        apply(next.values, lanes_[lane][at].database, lanes_[lane][at].request);
        if (all.insert(next).second) waiting.push_back(std::move(next));
      }
    }
  }
  return all;
}

void MoverModel::give_up() {
  undecided_ = true;
  possible_.clear();
}

bool MoverModel::answered(uint32_t database, const Request& request, const Answer& answer) {
  if (request[0] == "SET") number_of(request[2]);
  if (undecided_) return true;
  const std::set<Possible> before = closure();
  if (before.size() > kPossibleMax) {
    give_up();
    return true;
  }
  std::set<Possible> after;
  for (Possible each : before) {
    if (!(apply(each.values, database, request) == answer)) continue;
    each.passed.resize(lanes_.size());
    each.passed.back() = static_cast<uint32_t>(lanes_.back().size());
    after.insert(std::move(each));
  }
  possible_ = std::move(after);
  return !possible_.empty();
}

void MoverModel::unknown(uint32_t database, const Request& request) {
  if (request[0] == "SET") number_of(request[2]);
  if (request[0] != "GET" && request[0] != "DBSIZE") lanes_.back().push_back({.database = database, .request = request});
}

void MoverModel::anchor(const std::vector<std::string>& values) {
  Possible known;
  for (size_t place = 0; place < known.values.size(); ++place) {
    known.values[place] = values[place].empty() ? 0 : number_of(values[place]);
  }
  lanes_ = {{}};
  possible_ = {known};
  undecided_ = false;
}

}  // namespace leto::sim
