#include "tests/chaos/connection.h"

#include <utility>

#include "base/format.h"

namespace leto::chaos {

using checker::Answer;

std::string written(const Request& request) {
  std::string bytes = base::format("*%zu\r\n", request.size());
  for (const std::string& word : request) bytes += base::format("$%zu\r\n", word.size()) + word + "\r\n";
  return bytes;
}

std::shared_ptr<Connection> Connection::open(Loop& loop, const Address& address, ConnectionHooks hooks) {
  std::shared_ptr<Connection> connection(new Connection(loop, std::move(hooks)));
  connection->begin(address);
  return connection;
}

void Connection::begin(const Address& address) {
  const std::weak_ptr<Connection> weak = weak_from_this();
  stream_ = Stream::dial(loop_, address,
                         {.on_connected = [weak] { if (const auto self = weak.lock()) self->connected_ = true; },
                          .on_bytes = [weak](std::string_view bytes) { if (const auto self = weak.lock()) self->on_bytes(bytes); },
                          .on_closed = [weak] { if (const auto self = weak.lock()) self->lost(); }});
  if (stream_) return stream_->send(written({"AUTH", kPassword}));
  loop_.after(1, [weak] { if (const auto self = weak.lock()) self->lost(); });
}

void Connection::send(const std::vector<Request>& requests) {
  if (!open_ || !stream_) return;
  std::string bytes;
  for (const Request& request : requests) bytes += written(request);
  stream_->send(bytes);
}

void Connection::on_bytes(std::string_view bytes) {
  reader_.feed(bytes);
  while (open_) {
    const std::optional<Answer> answer = reader_.next();
    if (!answer) break;
    on_answer(*answer);
  }
  if (open_ && reader_.broken()) lost();
}

void Connection::on_answer(const Answer& answer) {
  if (ready_) return hooks_.on_reply(answer);
  if (answer.text != "OK") return lost();
  ready_ = true;
  if (hooks_.on_ready) hooks_.on_ready();
}

void Connection::lost() {
  if (!open_) return;
  close();
  hooks_.on_closed();
}

void Connection::close() {
  open_ = false;
  if (stream_) stream_->close();
}

std::optional<Answer> ask(Loop& loop, const Address& address, const Request& request, Milliseconds patience) {
  std::optional<Answer> answer;
  bool over = false;
  const std::shared_ptr<Connection> connection = Connection::open(loop, address, {
      .on_reply = [&](const Answer& given) {
        answer = given;
        over = true;
      },
      .on_closed = [&] { over = true; }});
  connection->send({request});
  loop.run_until(patience, [&over] { return over; });
  connection->close();
  return answer;
}

}  // namespace leto::chaos
