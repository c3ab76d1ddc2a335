#include "tests/chaos/verdict.h"

#include "tests/checker/linearizability.h"
#include "tests/checker/local_reads.h"

namespace leto::chaos {

namespace {

Verdict blame(const std::string& violation, const std::vector<checker::Operation>& operations) {
  Verdict verdict{.violation = violation, .operations = {}};
  for (const checker::Operation& operation : operations) verdict.operations.push_back(checker::readable(operation));
  return verdict;
}

}  // namespace

Verdict judge(const checker::History& history) {
  Verdict undecided;
  for (const auto& [key, operations] : history.by_key()) {
    const checker::Judgement judgement = checker::judge(operations);
    if (judgement.verdict == checker::Verdict::kNotLinearizable) {
      return blame("key " + key + " is not linearizable, stuck at " + judgement.stuck_at, operations);
    }
    if (judgement.verdict == checker::Verdict::kUndecided) undecided = blame("key " + key + " is undecided", operations);
  }
  for (const auto& [key, operations] : history.local_by_key()) {
    const std::string wrong = checker::judge_local_reads(operations);
    if (!wrong.empty()) return blame("a local read of key " + key + ", " + wrong, operations);
  }
  return undecided;
}

}  // namespace leto::chaos
