// Status and Result: how a function says that it failed. Neither may be ignored.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "base/assert.h"

namespace leto::base {

// Success, or one clear sentence for the person who reads it. Success allocates nothing.
class [[nodiscard]] Status {
 public:
  Status() = default;  // Success.
  static Status ok() { return {}; }
  static Status error(std::string text) {
    Status status;
    status.text_ = std::make_unique<std::string>(std::move(text));
    return status;
  }

  bool is_ok() const { return text_ == nullptr; }
  // REQUIRES: !is_ok().
  const std::string& text() const {
    LETO_ASSERT(!is_ok(), "text() of a success");
    return *text_;
  }

 private:
  std::unique_ptr<std::string> text_;
};

// A value, or the Status that says why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : content_(std::move(value)) {}
  Result(Status status) : content_(std::move(status)) {
    LETO_ASSERT(!std::get<Status>(content_).is_ok(), "a Result made of a success without a value");
  }

  bool is_ok() const { return std::holds_alternative<T>(content_); }
  // REQUIRES: is_ok().
  T& value() {
    LETO_ASSERT(is_ok(), status().text());
    return std::get<T>(content_);
  }
  // REQUIRES: !is_ok().
  const Status& status() const { return std::get<Status>(content_); }
  Status take_status() { return std::move(std::get<Status>(content_)); }

 private:
  std::variant<T, Status> content_;
};

}  // namespace leto::base
