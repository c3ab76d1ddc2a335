// xoshiro256** (Blackman and Vigna), seeded by splitmix64. Not for secrets.
#include "base/random.h"

#include <bit>

#include "base/assert.h"
#include "base/hash.h"

namespace leto::base {

namespace {

__extension__ typedef unsigned __int128 Wide;

constexpr uint64_t kSplitmixStep = 0x9e3779b97f4a7c15;

}  // namespace

Random::Random(uint64_t seed) {
  for (uint64_t& word : state_) {
    seed += kSplitmixStep;
    word = mix64(seed);
  }
}

uint64_t Random::next() {
  const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

uint64_t Random::below(uint64_t bound) {
  LETO_ASSERT(bound > 0, "a bound of 0 leaves no number");
  // Multiply-and-shift; the few low products that would make some results likelier are drawn again.
  const uint64_t unfair = (0 - bound) % bound;
  for (;;) {
    const Wide product = static_cast<Wide>(next()) * bound;
    if (static_cast<uint64_t>(product) >= unfair) return static_cast<uint64_t>(product >> 64);
  }
}

}  // namespace leto::base
