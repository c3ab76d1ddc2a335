#include "tests/sim/ddmin.h"

#include <set>
#include <utility>

namespace leto::sim {

namespace {

using Things = std::vector<uint64_t>;

class Reducer {
 public:
  Reducer(Things all, const HasEffect& has_effect, const std::function<bool()>& may_go_on)
      : has_effect_(has_effect), may_go_on_(may_go_on) {
    reduction_.kept = std::move(all);
  }

  Reduction go();

 private:
  // Keeps `candidate` alone if it has the effect.
  bool takes(const Things& candidate);
  // Tries each of so many parts alone. True if one was taken.
  bool takes_a_part(size_t parts);
  // Tries to do without each run of so many, the last ones first. True if any could go.
  bool drops_runs(size_t length);
  Things cut(size_t begin, size_t end, bool keep) const;

  const HasEffect& has_effect_;
  const std::function<bool()>& may_go_on_;
  std::set<Things> tried_;
  Reduction reduction_;
  bool ended_ = false;
};

bool Reducer::takes(const Things& candidate) {
  // What was tried and had it was kept, and is larger than what is kept now.
  if (tried_.contains(candidate)) return false;
  ended_ = ended_ || !may_go_on_();
  if (ended_) return false;
  tried_.insert(candidate);
  ++reduction_.tries;
  const bool has = has_effect_(candidate);
  if (has) reduction_.kept = candidate;
  return has;
}

// Those from `begin` on and before `end`; or, if they are not to be kept, all others.
Things Reducer::cut(size_t begin, size_t end, bool keep) const {
  Things result;
  for (size_t i = 0; i < reduction_.kept.size(); ++i) {
    if ((begin <= i && i < end) == keep) result.push_back(reduction_.kept[i]);
  }
  return result;
}

bool Reducer::takes_a_part(size_t parts) {
  const size_t size = reduction_.kept.size();
  for (size_t part = 0; part < parts && part < size && !ended_; ++part) {
    if (takes(cut(size * part / parts, size * (part + 1) / parts, true))) return true;
  }
  return false;
}

bool Reducer::drops_runs(size_t length) {
  bool any = false;
  for (size_t end = reduction_.kept.size(); end > 0 && !ended_;) {
    const size_t begin = end > length ? end - length : 0;
    any |= takes(cut(begin, end, false));
    end = begin;
  }
  return any;
}

Reduction Reducer::go() {
  if (!reduction_.kept.empty()) takes({});
  while (takes_a_part(2) || takes_a_part(4)) {
  }
  for (size_t length = reduction_.kept.size() / 4; length > 1; length /= 2) drops_runs(length);
  while (drops_runs(1)) {
  }
  reduction_.minimal = !ended_;
  return std::move(reduction_);
}

}  // namespace

Reduction reduce(std::vector<uint64_t> all, const HasEffect& has_effect, const std::function<bool()>& may_go_on) {
  return Reducer(std::move(all), has_effect, may_go_on).go();
}

}  // namespace leto::sim
