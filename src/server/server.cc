#include "server/server.h"

#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/format.h"
#include "base/log.h"
#include "peer/handshake_proof.h"
#include "server/file_check.h"
#include "server/founder.h"
#include "server/own_address.h"
#include "server/removal_note.h"
#include "server/repair.h"
#include "server/secure_random.h"
#include "server/version.h"
#include "storage/damage.h"
#include "storage/fatal.h"
#include "storage/vfs_file.h"

namespace leto::server {

namespace {

constexpr uint64_t kTicksPerSecond = 1000 / kTickMs;
constexpr uint64_t kPeerBacklog = 128;
// Descriptors beside those of clients: databases, peers, listeners, the loop's own.
constexpr uint64_t kFilesReserved = 256;
// Keys that are loaded within it were there from the first connection on.
constexpr uint64_t kSilentLoadUs = 200000;
// What replies and messages get to leave once the node is done.
constexpr uint64_t kFinishUs = 100000;
constexpr uint64_t kFinishStepUs = 2000;
constexpr uint64_t kLeftoversMs = 100;

// Past everything that could wait: destructors, threads, names being looked up.
[[noreturn]] void end_at_once(int status) {
  std::fflush(nullptr);
  _exit(status);
}

// What follows a sentence about damage.
std::string advice_on_damage(bool repairs) {
  return repairs ? "; start this node again, and it is repaired if it can be" : "; repair is no";
}

}  // namespace

Server::Server(Options options)
    : options_(std::move(options)),
      client_listener_(loop_),
      peer_listener_(loop_),
      keys_jobs_(loop_),
      leaving_jobs_(loop_),
      coming_jobs_(loop_),
      heap_worker_(loop_),
      clients_(loop_, loop_, options_) {}

Server::~Server() { base::set_log_sink(nullptr); }

int Server::run() {
  if (const base::Status started = start(); !started.is_ok()) {
    std::fprintf(stderr, "%s\n", started.text().c_str());
    unwatch_signals();
    return 1;
  }
  loop_.run();
  const int status = close_down();
  if (unusable_) return exit_status_;
  return misplaced_ ? 1 : status;
}

// --- Start -----------------------------------------------------------------------------------------------

base::Status Server::start() {
  if (base::Status status = check_role(options_, absolute_directory(options_.raftdir)); !status.is_ok()) return status;
  if (base::Status status = check_files(options_); !status.is_ok()) return status;
  base::Result<storage::DirectoryLock> lock = take_directory_and_ports();
  if (!lock.is_ok()) return lock.take_status();
  if (base::Status status = open_log(); !status.is_ok()) return status;
  // What comes from here on is carried out once the loop runs.
  watch_signals();
  LETO_LOG(kNotice, "raftdir is %s", lock.value().path().c_str());
  say_hello();
  keyspace::Keyspace::seed_tables(secure_random_number());
  end_on_broken_disk(lock.value().path());
  base::Result<OpenedDirectory> opened = open_directory(options_, std::move(lock.value()));
  if (!opened.is_ok()) return opened.take_status();
  directory_ = std::move(opened.value());
  if (directory_.joins && !options_.join.is_set()) options_.join = directory_.targets.front();
  if (directory_.joins && directory_.role) options_.role = *directory_.role;
  raise_file_limit();
  peers_ = std::make_unique<Peers>(loop_, options_, own_self(""));
  build_node(std::move(directory_.start));
  loop_.start({.turn = [this] { on_turn(); },
               .tick = [this] { on_tick(); },
               .measured = [this](uint64_t cpu_us) { node_->stats().note_turn(cpu_us, loop_); }});
  if (base::Status status = listen(); !status.is_ok()) return status;
  if (directory_.joins && !node_->removed()) {
    start_joining();
  } else if (options_.join.is_set()) {
    say_join_is_ignored();
    start_checking();
  }
  return {};
}

// A taken port and a taken directory often come together: then the directory says more. A directory that is
// not there is made only once the ports are known to be free.
base::Result<storage::DirectoryLock> Server::take_directory_and_ports() {
  const std::string directory = absolute_directory(options_.raftdir);
  if (base::Status bound = bind_ports(); !bound.is_ok()) {
    if (!directory_has_lock(directory)) return bound;
    base::Result<storage::DirectoryLock> lock = storage::DirectoryLock::acquire(directory, "");
    return lock.is_ok() ? std::move(bound) : lock.take_status();
  }
  return storage::DirectoryLock::acquire(directory, "");
}

base::Status Server::bind_ports() {
  if (base::Status status = client_listener_.bind_tcp(options_.listen, "listen"); !status.is_ok()) return status;
  if (base::Status status = peer_listener_.bind_tcp(options_.raftbind, "raftbind"); !status.is_ok()) return status;
  if (options_.unixsocket.empty()) return {};
  return client_listener_.bind_unix(options_.unixsocket, options_.unixsocketperm);
}

base::Status Server::open_log() {
  base::Result<std::unique_ptr<LogFile>> file = LogFile::open(options_.logfile);
  if (!file.is_ok()) return file.take_status();
  log_file_ = std::move(file.value());
  base::set_log_level(options_.loglevel);
  base::set_log_sink([this](base::LogLevel level, std::string_view text) { log_file_->write(level, text); });
  return {};
}

void Server::say_hello() const {
  LETO_LOG(kNotice, "Leto %s is starting, process %d", kVersion.data(), static_cast<int>(getpid()));
  if (command::kSemanticsSupported > command::kSemanticsReleased) {
    LETO_LOG(kWarning, "this is a build for tests: it supports semantics level %u, the released one is %u",
             command::kSemanticsSupported, command::kSemanticsReleased);
  }
}

// As by default, and damage is remembered. In the thread of the job.
void Server::end_on_broken_disk(const std::string& directory) const {
  storage::set_fatal_handler([directory, repairs = options_.repair](const std::string& text) {
    const bool damaged = storage::is_damage(text);
    const base::Status marked = damaged ? mark_damaged(directory, text) : base::Status();
    const std::string why = damaged ? text + advice_on_damage(repairs) : text;
    storage::end_process(marked.is_ok() ? why : why + "; " + marked.text(),
                         !damaged ? storage::kFatalExitStatus : repairs ? kDamageExitStatus : EXIT_FAILURE);
  });
}

void Server::raise_file_limit() {
  if (std::exchange(clients_planned_, options_.maxclients) == options_.maxclients) return;
  rlimit limit{};
  const rlim_t wanted = options_.maxclients + kFilesReserved;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
  limit.rlim_cur = limit.rlim_max == RLIM_INFINITY || limit.rlim_max >= wanted ? wanted : limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < wanted) {
    LETO_LOG(kWarning, "this process may open %llu files, so fewer clients than maxclients can be served",
             static_cast<unsigned long long>(limit.rlim_cur));
  }
}

// Peers at once: this node votes and appends while it loads. Clients when the keys are there, or when they take
// long enough for clients to be told.
base::Status Server::listen() {
  base::Status status = peer_listener_.listen(
      kPeerBacklog, [this](uv_stream_t* stream, StreamKind kind) { peers_->accept(stream, kind); });
  if (!status.is_ok() || node_->loading()) return status;
  return listen_to_clients();
}

base::Status Server::listen_to_clients() {
  listens_to_clients_ = true;
  base::Status status = client_listener_.listen(
      options_.tcp_backlog, [this](uv_stream_t* stream, StreamKind kind) { clients_.accept(stream, kind); });
  if (!status.is_ok()) return status;
  LETO_LOG(kNotice, "node %s: clients at %s%s%s, peers at %s", node_->identity().id.c_str(),
           options_.listen.text().c_str(), options_.unixsocket.empty() ? "" : " and ", options_.unixsocket.c_str(),
           options_.raftbind.text().c_str());
  LETO_LOG(kNotice, "Ready to accept connections");
  return {};
}

PeersSelf Server::own_self(const std::string& host) const {
  return {.identity = directory_.start.identity,
          .raft_address = own_raft_address(options_, host),
          .client_address = own_client_address(options_, host)};
}

// --- The node and what is under it -----------------------------------------------------------------------

void Server::build_node(NodeStart start) {
  log_disk_ = std::make_unique<UvLogDisk>(loop_, *directory_.log, directory_.checkpoint_frames);
  const KeysPlace place{.directory = directory_.lock.path(),
                        .vfs = "",
                        .free_bytes = &storage::free_bytes};
  keys_file_ = std::make_unique<KeysFile>(keys_jobs_, place, std::move(directory_.keys));
  snapshot_files_ = std::make_unique<SnapshotFiles>(leaving_jobs_, coming_jobs_, place, options_);
  const Environment environment{.log_disk = *log_disk_,
                                .keys_disk = *keys_file_,
                                .snapshot_disk = *snapshot_files_,
                                .network = *peers_,
                                .clock = loop_,
                                .waker = loop_};
  node_ = std::make_unique<Node>(options_, environment, std::move(start));
  node_->on_shutdown_command = [this](const command::ShutdownRequest& request) {
    // Not in the middle of the client's request.
    if (!request.abort) loop_.defer([this] { shut_down("SHUTDOWN was received"); });
  };
  node_->on_unusable = [this](const std::string& why) { on_unusable(why); };
  node_->on_options_changed = [this] {
    base::set_log_level(options_.loglevel);
    raise_file_limit();
  };
  node_->on_told_of_removal = [this](const std::string& sentence) { note_removal_of_node(sentence); };
  node_->on_sync_delay = [this](uint64_t milliseconds) { log_disk_->set_sync_delay(milliseconds); };
  peers_->set_hooks({.message = [this](const raft::Message& message) { node_->on_message(message); },
                     .part = [this](raft::NodeId from, raft::Term term) { node_->on_part(from, term); },
                     .forward = [this](peer::Forward forward) { node_->on_forward(std::move(forward)); },
                     .forward_reply = [this](const peer::ForwardReply& reply) { node_->on_forward_reply(reply); },
                     .unreachable = [this](raft::NodeId node) { node_->on_peer_unreachable(node); },
                     .silenced = [this](raft::NodeId node) { node_->on_peer_silenced(node); },
                     .may_be_adopted = [this] { return node_->may_be_adopted(); },
                     .adopt = [this](const peer::Adopt& adoption) { return adopt(adoption); },
                     .missed = [this](const peer::Hello& hello) { on_missed(hello); },
                     .removed = [this](const std::string& sentence) { node_->on_removed(sentence, directory_.joins); },
                     .knows_members = [this] { return node_->knows_members(); },
                     .was_member = [this] { return node_->was_member(); },
                     .moved = [this](const raft::Member& told) { node_->on_addresses_said(told); },
                     .stats = &node_->stats()});
  clients_.set_node(node_.get());
}

// On the loop: who was removed serves nobody, and who was taken in again is told so once.
void Server::note_removal_of_node(const std::string& sentence) {
  const std::string& directory = directory_.lock.path();
  if (sentence.empty()) {
    const base::Status forgotten = forget_removal(directory);
    if (forgotten.is_ok()) return;
    LETO_LOG(kWarning, "this node is a member again, but its next start will say that it was removed, until a leader speaks to it: %s",
             forgotten.text().c_str());
    return;
  }
  const base::Status noted = note_removal(directory, node_->identity().node, sentence);
  if (!noted.is_ok()) LETO_LOG(kWarning, "what a member says of this node's removal is not noted: %s", noted.text().c_str());
}

// Synchronous, on the loop: a node that is taken into a cluster has nothing to serve yet.
base::Status Server::adopt(const peer::Adopt& adoption) {
  if (!disks_are_quiet() || node_->shutting_down()) return base::Status::error(Network::kBusy);
  if (joiner_ != nullptr && !joiner_->asks()) {
    return base::Status::error(base::format("%s waits to be taken in at %s, and has not asked this cluster; start it with "
                                            "-join at a node of the cluster that it is to enter",
                                            node_->identity().id.c_str(), options_.join.text().c_str()));
  }
  storage::Identity identity = node_->identity();
  const uint64_t old_generation = identity.keys_generation;
  identity.cluster_id = adoption.cluster;
  identity.cluster_secret = adoption.secret;
  identity.founded = false;
  // A new keys file: the old one may hold the witness of a log that is about to go.
  identity.keys_generation = old_generation + 1;
  base::Result<std::unique_ptr<storage::KeyStore>> keys = make_keys(directory_.lock.path(), identity.keys_generation);
  if (!keys.is_ok()) return keys.take_status();
  if (base::Status status = directory_.log->reset(identity); !status.is_ok()) return status;
  LETO_LOG(kNotice, "taken into a cluster; this node begins with nothing of its own");
  clients_.close_all();
  PeersSelf self = peers_->self();
  self.identity = identity;
  node_.reset();
  if (const base::Status closed = keys_file_->close(); !closed.is_ok()) {
    LETO_LOG(kWarning, "%s", closed.text().c_str());
  }
  snapshot_files_.reset();
  keys_file_.reset();
  log_disk_.reset();
  directory_.keys = std::move(keys.value());
  storage::discard_database("", storage::keys_path(directory_.lock.path(), old_generation));
  peers_->set_self(std::move(self));
  NodeStart start;
  start.identity = identity;
  start.seed = loop_.monotonic_us();
  build_node(std::move(start));
  return {};
}

// A node of another cluster takes this one for its member: a founder that nobody has joined yet is that member, come up
// without its data, whenever that was. It is marked first, so that the next start serves nothing either.
void Server::on_missed(const peer::Hello& hello) {
  const bool alone = node_->members().members.size() == 1;
  if (!node_->identity().founded || !alone || joiner_ || misplaced_) return;
  if (options_.join.is_set() && !has_replayed()) return;   // They dial again.
  if (options_.join.is_set() && node_->may_be_adopted()) return join_after_founding();
  const std::string text = base::format("member %s of cluster %s came up empty; start it with -join %s",
                                        node_->identity().id.c_str(), peer::cluster_name(hello.cluster).c_str(),
                                        hello.client_address.c_str());
  const base::Status marked = mark_misplaced(directory_.lock.path(), text);
  if (!marked.is_ok()) LETO_LOG(kWarning, "%s", marked.text().c_str());
  end_as_misplaced(text);
}

void Server::end_as_misplaced(const std::string& text) {
  if (std::exchange(misplaced_, true)) return;
  LETO_LOG(kWarning, "%s", text.c_str());
  std::fprintf(stderr, "%s\n", text.c_str());
  loop_.defer([this] { shut_down("this node has no place here"); });
}

// What was read wrong once is not relied on again: the next start judges it before anything else.
void Server::on_unusable(const std::string& why) {
  if (std::exchange(unusable_, true)) return;
  std::string text = why;
  if (storage::is_damage(why)) {
    const base::Status marked = mark_damaged(directory_.lock.path(), why);
    if (!marked.is_ok()) LETO_LOG(kWarning, "%s", marked.text().c_str());
    if (options_.repair) exit_status_ = kDamageExitStatus;
    text += advice_on_damage(options_.repair);
  }
  LETO_LOG(kWarning, "%s", text.c_str());
  std::fprintf(stderr, "%s\n", text.c_str());
  loop_.defer([this] { shut_down("this node cannot go on"); });
}

bool Server::disks_are_quiet() const {
  return log_disk_->quiet() && keys_jobs_.quiet() && leaving_jobs_.quiet() && coming_jobs_.quiet();
}

void Server::say_join_is_ignored() const {
  const char* id = node_->identity().id.c_str();
  if (node_->removed()) {
    LETO_LOG(kWarning, "-join %s is ignored: %s was removed from its cluster; to use it again start it with an empty -raftdir",
             options_.join.text().c_str(), id);
  } else {
    LETO_LOG(kNotice, "-join %s is ignored: %s is a member of its cluster already", options_.join.text().c_str(), id);
  }
}

// A member is restarted with the command that it was started with; but not with another cluster's.
void Server::start_checking() {
  check_ = std::make_unique<ClusterCheck>(loop_, options_, [this](const ClusterFound& found) { on_cluster_found(found); });
}

void Server::on_cluster_found(const ClusterFound& found) {
  const std::string own = peer::cluster_name(node_->identity().cluster_id);
  if (is_another_cluster(found, own, node_->members())) other_cluster_ = found.cluster_id;
}

bool Server::has_replayed() const {
  const raft::Raft& raft = node_->raft();
  return node_->knows_members() && raft.applied_index() == raft.commit_index();
}

void Server::judge_other_cluster() {
  const bool alone = node_->members().members.size() == 1;
  if (alone && !has_replayed()) return;
  const std::string other = std::exchange(other_cluster_, {});
  // It may have been taken in there since that was seen.
  if (joiner_ || other == peer::cluster_name(node_->identity().cluster_id)) return;
  if (node_->may_be_adopted()) return join_after_founding();
  end_as_misplaced(base::format(
      "%s belongs to cluster %s, but -join %s answers as cluster %s; name a node of its own cluster, or give it an empty "
      "-raftdir",
      directory_.lock.path().c_str(), peer::cluster_name(node_->identity().cluster_id).c_str(),
      options_.join.text().c_str(), other.c_str()));
}

void Server::join_after_founding() {
  node_->refuse_writes_to_join();
  start_joining();
}

void Server::start_joining() {
  LETO_LOG(kNotice, "joining the cluster of %s", options_.join.text().c_str());
  if (directory_.targets.empty()) directory_.targets.push_back(options_.join);
  directory_.joins = true;
  joiner_ = std::make_unique<Joiner>(
      loop_, options_, Joiner::Wish{.identity = node_->identity(), .targets = directory_.targets},
      Joiner::Hooks{.reached = [this](const std::string& host) {
                      peers_->set_addresses(own_raft_address(options_, host), own_client_address(options_, host));
                    },
                    .joined = [this] { loop_.defer([this] { on_joined(); }); },
                    .gave_up = [this](const std::string& why) { end_as_misplaced(why); }});
}

void Server::on_joined() {
  joiner_.reset();
  directory_.joins = false;
  auto status = std::make_shared<base::Status>();
  const auto forget = [status, directory = directory_.lock.path()] {
    *status = forget_rejoin(directory);
    if (status->is_ok()) *status = forget_misplaced(directory);
  };
  coming_jobs_.run(forget,
                   [status] {
                     if (!status->is_ok()) LETO_LOG(kWarning, "%s", status->text().c_str());
                   });
}

// --- Turns -----------------------------------------------------------------------------------------------

void Server::listen_to_clients_if_due() {
  const bool waits = node_->loading() && loop_.monotonic_us() - node_->stats().started_us < kSilentLoadUs;
  if (listens_to_clients_ || waits || unusable_) return;
  if (base::Status status = listen_to_clients(); !status.is_ok()) on_unusable(status.text());
}

void Server::on_turn() {
  node_->on_loop_turn();
  // Peers first: what they are told decides when a write is answered.
  peers_->on_turn_end();
  clients_.on_turn_end();
  log_disk_->on_turn_end();
  keep_heap_room();
  if (!listens_to_clients_) listen_to_clients_if_due();
  if (node_finished_) try_to_finish();
}

void Server::keep_heap_room() {
  if (heap_worker_.busy() || node_finished_ || !heap_room_.grow()) return;
  heap_worker_.run([this] { heap_room_.fetch(); }, [] {});
}

void Server::on_tick() {
  node_->on_tick();
  peers_->on_tick();
  if (++ticks_ % kTicksPerSecond == 0) on_second();
}

void Server::on_second() {
  if (!other_cluster_.empty() && !node_->shutting_down()) judge_other_cluster();
  clients_.on_second();
  const raft::Raft& raft = node_->raft();
  log_file_->set_role(raft.role() == raft::Role::kLeader || raft.configuration().members.size() < 2 ? 'M' : 'S');
}

// --- The end ---------------------------------------------------------------------------------------------

void Server::watch_signals() {
  const std::array<int, 2> numbers = {SIGTERM, SIGINT};
  for (size_t index = 0; index < numbers.size(); ++index) {
    uv_signal_init(loop_.uv(), &signals_[index]);
    signals_[index].data = this;
    const auto received = [](uv_signal_t* handle, int number) {
      static_cast<Server*>(handle->data)->on_signal(number);
    };
    uv_signal_start(&signals_[index], received, numbers[index]);
  }
  signals_watched_ = true;
}

void Server::unwatch_signals() {
  if (!signals_watched_) return;
  signals_watched_ = false;
  for (uv_signal_t& each : signals_) uv_close(reinterpret_cast<uv_handle_t*>(&each), nullptr);
}

void Server::on_signal(int number) {
  const char* name = number == SIGINT ? "SIGINT" : "SIGTERM";
  if (std::exchange(signalled_, true)) {
    LETO_LOG(kWarning, "%s again: ending at once", name);
    end_at_once(unusable_ ? exit_status_ : 1);
  }
  // What SHUTDOWN or damage began is gone through with.
  if (node_->shutting_down()) LETO_LOG(kNotice, "%s was received: already shutting down", name);
  shut_down(base::format("%s was received", name));
}

void Server::shut_down(const std::string& why) {
  if (node_->shutting_down()) return;
  LETO_LOG(kNotice, "%s: shutting down", why.c_str());
  joiner_.reset();
  check_.reset();
  log_disk_->end_checkpoints();
  finish_deadline_us_ = loop_.monotonic_us() + options_.shutdown_timeout_seconds * 1000000 + kFinishUs;
  node_->begin_shutdown([this] {
    node_finished_ = true;
    send_deadline_us_ = loop_.monotonic_us() + kFinishUs;
    loop_.wake();
  });
}

void Server::try_to_finish() {
  const uint64_t now_us = loop_.monotonic_us();
  const bool idle = disks_are_quiet() && !heap_worker_.busy();
  const bool sent = (clients_.all_sent() && peers_->all_sent()) || now_us >= send_deadline_us_;
  if (idle && sent) return loop_.stop();
  if (now_us < finish_deadline_us_) return loop_.wake_after_us(kFinishStepUs);
  LETO_LOG(kWarning, "the disk is too slow to wait for; what was acknowledged is in the log");
  end_at_once(0);
}

int Server::close_down() {
  loop_.end_turns();
  joiner_.reset();
  check_.reset();
  client_listener_.close();
  peer_listener_.close();
  clients_.close_all();
  peers_->close_all();
  node_.reset();
  log_disk_.reset();
  snapshot_files_.reset();
  unwatch_signals();
  int status = 0;
  for (const base::Status& closed : {keys_file_->close(), directory_.log->close()}) {
    if (closed.is_ok()) continue;
    LETO_LOG(kWarning, "%s", closed.text().c_str());
    status = 1;
  }
  keys_file_.reset();
  LETO_LOG(kNotice, "Leto is ready to exit, bye bye...");
  // A name that is still being looked up is not waited for.
  if (!loop_.run_leftovers(kLeftoversMs)) end_at_once(status);
  return status;
}

}  // namespace leto::server
