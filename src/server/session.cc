#include "server/session.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/format.h"

namespace leto::server {

OwnedArguments::OwnedArguments(resp::Arguments arguments) {
  size_t total = 0;
  for (std::string_view argument : arguments) total += argument.size();
  bytes_.reserve(total);
  ends_.reserve(arguments.size());
  for (std::string_view argument : arguments) {
    bytes_.append(argument);
    ends_.push_back(bytes_.size());
  }
}

std::vector<std::string_view> OwnedArguments::views() const {
  std::vector<std::string_view> result;
  result.reserve(ends_.size());
  size_t begin = 0;
  for (size_t end : ends_) {
    result.push_back(std::string_view(bytes_).substr(begin, end - begin));
    begin = end;
  }
  return result;
}

Session::Sequence Session::push(Request request) {
  const bool writes = is_unapplied_write(request);
  request.protocol = client.protocol;
  request.argument_bytes = request.arguments.bytes();
  argument_bytes_ += request.argument_bytes;
  outstanding_.push_back(std::move(request));
  const Sequence sequence = first_ + outstanding_.size() - 1;
  if (writes) last_write_ = sequence;
  wrote_ = wrote_ || writes;
  return sequence;
}

// The last one may have been refused before those ahead of it were answered.
Request* Session::last_write() {
  for (Request* request = find(last_write_); request != nullptr; request = find(--last_write_)) {
    if (is_unapplied_write(*request)) return request;
  }
  return nullptr;
}

Request* Session::find(Sequence sequence) {
  if (sequence < first_ || sequence - first_ >= outstanding_.size()) return nullptr;
  return &outstanding_[sequence - first_];
}

bool Session::holds() {
  const Request* request = find(held_until_);
  return request != nullptr && request->state != RequestState::kAnswered;
}

std::string& Session::reply_buffer(Sequence sequence) {
  Request* request = find(sequence);
  LETO_ASSERT(request != nullptr && request->state != RequestState::kAnswered,
              base::format("request %llu of client %llu answered twice",
                           static_cast<unsigned long long>(sequence),
                           static_cast<unsigned long long>(client.id)));
  return sequence == first_ ? output_ : request->reply;
}

void Session::answered(Sequence sequence) {
  if (sequence == first_) served_ = true;
  leave(sequence);
}

void Session::note_served(uint64_t now_us) {
  if (std::exchange(served_, false)) served_us_ = now_us;
}

uint64_t Session::waits_since_us(uint64_t arrived_us) const { return std::max(arrived_us, served_us_); }

void Session::leave(Sequence sequence) {
  Request* request = find(sequence);
  LETO_ASSERT(request != nullptr && request->state != RequestState::kAnswered,
              "a request is answered exactly once");
  request->state = RequestState::kAnswered;
  held_bytes_ += request->reply.size();
  while (!outstanding_.empty() && outstanding_.front().state == RequestState::kAnswered) {
    output_.append(outstanding_.front().reply);
    held_bytes_ -= outstanding_.front().reply.size();
    argument_bytes_ -= outstanding_.front().argument_bytes;
    outstanding_.pop_front();
    ++first_;
  }
}

void Session::fail(Sequence sequence, std::string_view error) {
  find(sequence)->local = false;   // It is no sign that those before it were served.
  resp::Reply(reply_buffer(sequence), find(sequence)->protocol).error(error);
  leave(sequence);
}

void Session::close() {
  closed_ = true;
  outstanding_.clear();
  output_.clear();
  held_bytes_ = argument_bytes_ = 0;
  client.transaction = {};
}

}  // namespace leto::server
