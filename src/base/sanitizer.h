// Which of the compiler's sanitizers watches this program. Refuses to know what it finds, and changes nothing by it: what
// takes longer under one is for the tests to allow for.
#pragma once

#include <string_view>

namespace leto::base {

// g++ has a macro for each, clang a feature. That of undefined behaviour has neither in g++; it comes with that of addresses here.
#if !defined(__has_feature)
#define LETO_HAS_FEATURE(name) 0
#else
#define LETO_HAS_FEATURE(name) __has_feature(name)
#endif

// "address", "thread", or empty where there is none.
#if defined(__SANITIZE_ADDRESS__) || LETO_HAS_FEATURE(address_sanitizer)
inline constexpr std::string_view kSanitizer = "address";
#elif defined(__SANITIZE_THREAD__) || LETO_HAS_FEATURE(thread_sanitizer)
inline constexpr std::string_view kSanitizer = "thread";
#else
inline constexpr std::string_view kSanitizer;
#endif

#undef LETO_HAS_FEATURE

}  // namespace leto::base
