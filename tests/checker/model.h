// One key as a client may think of it: the sequential object that every history is compared with. Written
// from Redis's documentation, apart from the server's own commands.
#pragma once

#include <optional>
#include <string>

#include "tests/checker/history.h"

namespace leto::checker {

// Nothing: the key does not exist.
using KeyState = std::optional<std::string>;

// What the operation answers in `state`, which becomes the state after it.
Answer run(const Operation& operation, KeyState& state);

// Whether `told` may have been said where the answer was `answer`.
bool fits(const Answer& answer, const Answer& told);

}  // namespace leto::checker
