#include "tests/sim/process.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "server/start.h"
#include "server/tick.h"
#include "storage/damage.h"
#include "storage/snapshot_file.h"
#include "tests/sim/network.h"

namespace leto::sim {

namespace {

constexpr size_t kWalBytes = 64 << 10;
constexpr uint64_t kBallastBytes = 8 << 10;
constexpr Microseconds kReplyLow = 20, kReplyHigh = 400;

storage::LogStoreOptions log_options(const Machine& machine, const DiskParameters& disk) {
  return {.directory = kDirectory, .vfs = machine.disk.name(), .segment_entries_max = disk.segment_entries_max,
          .segment_bytes_max = 1 << 20, .checkpoint_frames = disk.checkpoint_frames, .wal_bytes = kWalBytes,
          .ballast_bytes = kBallastBytes,
          .free_bytes = [&machine](const std::string&) { return base::Result<uint64_t>(machine.room()); }};
}

}  // namespace

Process::Process(Machine& machine)
    : machine_(machine),
      semantics_supported_(machine.semantics_supported),
      keys_jobs_(machine),
      leaving_jobs_(machine),
      coming_jobs_(machine),
      faults_at_start_(machine.disk_faults()) {}

Process::~Process() {
  if (node_ && node_->stats().forward_retries > 0) machine_.world().coverage.note(Reached::kForwardRetried);
  if (node_ && node_->stats().forward_unknown > 0) machine_.world().coverage.note(Reached::kForwardUnknown);
  node_.reset();
  log_disk_.reset();
}

bool Process::disks_are_quiet() const {
  return !log_disk_->busy() && keys_jobs_.quiet() && leaving_jobs_.quiet() && coming_jobs_.quiet();
}

// --- Start -------------------------------------------------------------------------------------------

base::Status Process::found(const std::string& cluster_id, const raft::Configuration& configuration) {
  base::Result<std::unique_ptr<storage::LogStore>> opened =
      storage::LogStore::open(log_options(machine_, machine_.world().parameters.disk));
  if (!opened.is_ok()) return opened.take_status();
  log_store_ = std::move(opened.value());
  identity_ = {.id = machine_.id, .node = machine_.node(), .cluster_id = cluster_id, .cluster_secret = {},
               .keys_generation = 1};
  if (!cluster_id.empty()) identity_.cluster_secret.assign(32, 's');
  if (base::Status status = log_store_->set_identity(identity_); !status.is_ok()) return status;
  if (!cluster_id.empty()) {
    const raft::Entry entry{.id = {.term = 1, .index = 1}, .kind = raft::EntryKind::kConfiguration,
                            .payload = std::make_shared<const std::string>(raft::encode_configuration(configuration))};
    const std::vector<storage::LogWrite> first = {
        {.hard_state = raft::HardState{.term = 1, .voted_for = raft::kNobody}, .truncate_from = {}, .append = {entry}, .install = {}}};
    log_store_->write(first);
    machine_.observer().on_log_durable(machine_, first);
    machine_.durable.apply(first);
  }
  return log_store_->close();
}

base::Status Process::open() {
  if (base::Status status = open_log(); !status.is_ok()) return status;
  return open_keys();
}

base::Status Process::open_log() {
  base::Result<std::unique_ptr<storage::LogStore>> opened =
      storage::LogStore::open(log_options(machine_, machine_.world().parameters.disk));
  if (!opened.is_ok()) return opened.take_status();
  log_store_ = std::move(opened.value());
  LETO_ASSERT(log_store_->identity().has_value(), "the directory was made before the start");
  identity_ = *log_store_->identity();
  // A cloned directory is found to be another's only once all of it is open, which may fail.
  if (identity_.id == machine_.id || machine_.runs_copy) machine_.set_node(identity_.node);
  return {};
}

base::Status Process::open_keys() {
  storage::remove_other_generations(kDirectory, machine_.disk.name(), identity_.keys_generation);
  base::Result<std::unique_ptr<storage::KeyStore>> opened = storage::KeyStore::open(
      {.directory = kDirectory, .vfs = machine_.disk.name(), .generation = identity_.keys_generation});
  if (!opened.is_ok()) return opened.take_status();
  key_store_ = std::move(opened.value());
  machine_.flushed = key_store_->header().applied_index;
  return {};
}

bool Process::finds_damage() {
  const bool foreign = machine_.suspect && !machine_.runs_copy && identity_.id != machine_.id;
  if (foreign) return machine_.find_damage(Reached::kFoundIdentity, "it belongs to " + identity_.id);
  const base::Status together = server::check_together(kDirectory, *key_store_, found_there());
  if (together.is_ok()) return false;
  if (!machine_.find_damage(Reached::kFoundTail, together.text())) {
    machine_.world().fail("D16", "a sound directory is blamed: " + together.text());
  }
  return true;
}

// D16, by what both files say, whatever the start made of it.
void Process::check_tail() {
  const raft::Recovered recovered = log_store_->recovered();
  const storage::Witness witness = key_store_->witness();
  const raft::Index known = std::max(witness.index, key_store_->header().applied_index);
  if (recovered.last.index >= known && recovered.hard_state.term >= witness.term) return;
  machine_.world().fail("D16", base::format("machine %zu goes on with a log to %llu, and its keys file knows of entry %llu",
                                            machine_.number, static_cast<unsigned long long>(recovered.last.index),
                                            static_cast<unsigned long long>(known)));
}

// What was lost without a trace: the last commit, which looks like one that a power cut broke off; the last two, if what says
// where the first of them ends was hit in the WAL, so that they look like one; or whatever a disk that lies, or a backup,
// takes away with its witness. All else is to be found.
void Process::judge_suspect(DurableLog found) {
  static constexpr Reached kMayLoseAll[] = {Reached::kLyingSync, Reached::kLostWrite, Reached::kMisdirected,
                                            Reached::kOldBackup, Reached::kOldLog, Reached::kRunsTwice};
  static constexpr Reached kMayJoinTwo[] = {Reached::kRotLogTail, Reached::kRotLogMiddle, Reached::kTornBlock};
  const auto among = [this](std::span<const Reached> kinds) {
    return std::find(kinds.begin(), kinds.end(), machine_.damage) != kinds.end();
  };
  const auto is = [&found](DurableLog known) {
    if (found.base().index <= known.last()) known.compact(found.base());
    DurableLog mine = found;
    if (known.base().index <= mine.last()) mine.compact(known.base());
    return mine == known;
  };
  DurableLog finished = machine_.durable;
  finished.apply(machine_.unfinished);
  // Another one goes on with the same identity: what this one knows today it cannot know tomorrow.
  const bool lost = machine_.runs_copy || (!is(machine_.durable) && !is(finished));
  if (lost) {
    machine_.world().coverage.note(Reached::kUnnoticed);
    using Number = unsigned long long;
    const auto name = [](const DurableLog& log) {
      return base::format("%llu to %llu, term %llu, vote %llx", Number{log.base().index}, Number{log.last()},
                          Number{log.hard_state().term}, Number{log.hard_state().voted_for});
    };
    machine_.world().trace.text(machine_.number, "came back with less than it had promised, and cannot know: " + name(found) +
                                                     "; promised " + name(machine_.durable) + "; before that " +
                                                     name(machine_.before_last));
    const bool may = among(kMayLoseAll) || is(machine_.before_last) || (among(kMayJoinTwo) && is(machine_.before_last_two));
    if (!may) machine_.world().fail("D16", "damage that leaves a trace was not found");
    machine_.world().unnoticed = true;
  } else if (machine_.checked_before_start) {
    machine_.world().coverage.note(Reached::kHarmless);
  }
  if (lost || machine_.checked_before_start) machine_.suspect = machine_.checked_before_start = false;
  if (!lost && is(finished) && !machine_.unfinished.empty()) machine_.observer().on_log_durable(machine_, machine_.unfinished);
  machine_.unfinished.clear();
  machine_.durable = std::move(found);
}

void Process::begin() {
  check_tail();
  if (!machine_.world().failed()) check_recovered();
  if (machine_.dying() || machine_.world().failed()) return;
  make_node();
  ticks_.begin(monotonic_us());
  machine_.after(machine_.random.below(server::Ticks::kTickUs), [this] { tick(); });
}

// I12: what a restart finds is what was durable, or that and the one write that was never answered.
void Process::check_recovered() {
  const raft::Recovered recovered = log_store_->recovered();
  DurableLog found;
  found.begin_at(recovered.base);
  found.set_hard_state(recovered.hard_state);
  found.set_keys_generation(identity_.keys_generation);
  while (found.last() < recovered.last.index) {
    base::Result<std::vector<raft::Entry>> entries = log_store_->read(found.last() + 1, recovered.last.index, 1 << 20);
    if (!entries.is_ok() || entries.value().empty()) {
      // It would have gone on until it reads that.
      if (machine_.find_damage(Reached::kFoundRunning, "the log cannot be read back")) return;
      machine_.world().fail("I12", "the log cannot be read back");
      return;
    }
    for (const raft::Entry& entry : entries.value()) found.append(durable_entry(entry));
  }
  if (machine_.suspect) return judge_suspect(std::move(found));
  DurableLog finished = machine_.durable;
  finished.apply(machine_.unfinished);
  // A compaction that was under way may have happened.
  for (DurableLog* each : {&finished, &machine_.durable})
    if (found.base().index <= std::min(each->last(), machine_.flushed)) each->compact(found.base());
  const bool kept = !machine_.unfinished.empty() && found == finished;
  if (!(found == machine_.durable) && !kept) {
    machine_.world().fail("I12", base::format("machine %zu came back with log to %llu, term %llu; durable were %llu, %llu",
                                              machine_.number, static_cast<unsigned long long>(found.last()),
                                              static_cast<unsigned long long>(found.hard_state().term),
                                              static_cast<unsigned long long>(machine_.durable.last()),
                                              static_cast<unsigned long long>(machine_.durable.hard_state().term)));
  }
  if (!machine_.unfinished.empty()) {
    machine_.world().coverage.note(kept ? Reached::kKeptUnfinished : Reached::kLostUnfinished);
  }
  if (found.last() > 1) machine_.world().coverage.note(Reached::kRestartedWithLog);
  if (kept) machine_.observer().on_log_durable(machine_, machine_.unfinished);
  machine_.unfinished.clear();
  machine_.durable = std::move(found);
}

server::NodeStart Process::found_there() const {
  const keyspace::StateHeader header = key_store_->header();
  return {.identity = identity_,
          .recovered = log_store_->recovered(),
          .header = header,
          .witness = key_store_->witness(),
          .has_keys = header.applied_index > 0,
          .lacks_keys = header.applied_index > 0 && machine_.keys_lost == identity_.keys_generation,
          .founding = false,
          .seed = 1,
          .semantics_supported = semantics_supported_};
}

void Process::make_node() {
  log_disk_ = std::make_unique<SimLogDisk>(machine_, *log_store_);
  server::NodeStart start = found_there();
  start.seed = machine_.random.next();
  if (start.lacks_keys) {
    machine_.flushed = start.recovered.base.index;
  } else {
    machine_.keys_lost = 0;   // A switch that nobody heard of was durable.
  }
  keys_disk_ = std::make_unique<SimKeysDisk>(machine_, keys_jobs_, std::move(key_store_));
  snapshot_disk_ = std::make_unique<SimSnapshotDisk>(machine_, leaving_jobs_, coming_jobs_);
  const server::Environment environment{.log_disk = *log_disk_, .keys_disk = *keys_disk_, .snapshot_disk = *snapshot_disk_,
                                        .network = *this, .clock = *this, .waker = *this};
  if (const uint64_t bound = machine_.world().parameters.uncommitted_bytes_max; bound > 0) start.uncommitted_bytes_max = bound;
  node_ = std::make_unique<server::Node>(machine_.options, environment, std::move(start));
  node_->on_unusable = [this](const std::string& why) { on_unusable(why); };
}

// As the real server, it ends; on a disk that did what it was told that must not be.
void Process::on_unusable(const std::string& why) {
  machine_.world().trace.text(machine_.number, "cannot go on: " + why);
  if (storage::is_seen_by_others(why)) return machine_.find_loss();
  if (storage::is_damage(why) && machine_.find_damage(Reached::kFoundRunning, why)) return;
  if (machine_.disk_faults() == faults_at_start_) machine_.world().fail("I12", "a node cannot go on: " + why);
  machine_.die(Death::kKill);
}

// --- The loop ----------------------------------------------------------------------------------------

// As in the real loop, what came in while a process stood still is read before its late tick.
void Process::tick() {
  machine_.after(0, [this] { tick_now(); });
}

void Process::tick_now() {
  for (uint64_t due = server::Ticks::due(ticks_.count(monotonic_us())); due > 0; --due) node_->on_tick();
  machine_.after(machine_.clock.until(server::Ticks::kTickUs), [this] { tick(); });
}

void Process::wake() {
  if (turn_waits_ || !ready() || machine_.dying()) return;
  turn_waits_ = true;
  const Microseconds wait = machine_.random.below(machine_.world().parameters.turn_high);
  machine_.world().scheduler.after(wait, [this, &machine = machine_, life = machine_.life()] {
    // Not by Machine::after: a turn must not ask for the next one.
    if (life != machine.life()) return;
    turn_waits_ = false;
    if (machine.paused()) return;   // What comes when the pause ends asks again.
    machine.speaks([this] { turn(); });
  });
}

void Process::wake_after_us(uint64_t microseconds) {
  const Microseconds now = machine_.world().scheduler.now();
  const Microseconds due = now + machine_.clock.until(microseconds);
  if (wish_ > now && wish_ <= due) return;
  wish_ = due;
  machine_.after(due - now, [] {});
}

void Process::turn() {
  const raft::Raft& raft = node_->raft();
  const raft::Index applied = raft.applied_index();
  if (raft.commit_index() > applied && !machine_.comes_to(Step::kApply)) return;
  node_->on_loop_turn();
  for (auto& [client, line] : lines_) run_waiting(line);
  if (raft.applied_index() > applied) machine_.comes_to(Step::kApplied);
  note_back_pressure();
  if (!machine_.dying()) deliver_output();
}

// What waits has no room beside what is uncommitted.
void Process::note_back_pressure() {
  const size_t bound = machine_.world().parameters.uncommitted_bytes_max;
  const bool waits = bound > 0 && node_->raft().uncommitted_bytes() > 0 && node_->pending_bytes() > bound;
  if (waits) machine_.world().coverage.note(Reached::kBeyondBound);
}

// --- Clients -----------------------------------------------------------------------------------------

server::SessionRef Process::connect(const std::shared_ptr<Receiver>& receiver) {
  const server::SessionRef session = node_->open_session();
  session->client.address = "127.0.0.1:1";
  lines_[session->client.id] = {.receiver = receiver, .session = session};
  return session;
}

void Process::disconnect(const server::SessionRef& session) {
  if (lines_.erase(session->client.id) == 0) return;
  node_->close_session(session);
}

void Process::execute(const server::SessionRef& session, const std::vector<std::string>& request) {
  const auto found = lines_.find(session->client.id);
  if (found == lines_.end()) return;
  found->second.waiting.push_back(request);
  run_waiting(found->second);
}

void Process::run_waiting(Line& line) {
  while (!line.waiting.empty() && !line.session->holds()) {
    const std::vector<std::string> request = std::move(line.waiting.front());
    line.waiting.pop_front();
    const std::vector<std::string_view> arguments(request.begin(), request.end());
    node_->execute(line.session, arguments);
    wake();
  }
}

void Process::deliver_output() {
  Scheduler& scheduler = machine_.world().scheduler;
  for (const server::SessionRef& session : node_->take_sessions_with_output()) {
    const auto found = lines_.find(session->client.id);
    if (found == lines_.end() || session->output().empty()) continue;
    if (!machine_.comes_to(Step::kReply)) return;
    Line& line = found->second;
    const Microseconds arrival = scheduler.now() + machine_.random.between(kReplyLow, kReplyHigh);
    line.last_arrival = std::max(line.last_arrival, arrival);
    scheduler.at(line.last_arrival, [receiver = line.receiver, bytes = std::exchange(session->output(), {})] {
      receiver->on_bytes(bytes);
    });
    node_->note_fetched(session);
    machine_.comes_to(Step::kReplied);
  }
}

void Process::close_line(const Line& line) {
  Scheduler& scheduler = machine_.world().scheduler;
  const Microseconds arrival = std::max(line.last_arrival, scheduler.now() + kReplyHigh);
  scheduler.at(arrival, [receiver = line.receiver] { receiver->on_closed(); });
}

void Process::abandon() {
  for (const auto& [client, line] : lines_) close_line(line);
  lines_.clear();
}

// --- Peers -------------------------------------------------------------------------------------------

void Process::send(raft::Message message) {
  if (!machine_.comes_to(Step::kEncode)) return;
  machine_.observer().on_send(machine_, message);
  if (std::holds_alternative<raft::InstallSnapshot>(message.body)) machine_.reaches(Ambush::kSending);
  send(peer::encode(message));
}

void Process::send(peer::Encoded encoded) {
  if (!machine_.comes_to(Step::kSend)) return;
  machine_.network().send(machine_, std::move(encoded));
  machine_.comes_to(Step::kSent);
}

bool Process::send_forward(const peer::Forward& forward) {
  const bool sent = machine_.comes_to(Step::kSend) && machine_.network().send_forward(machine_, forward);
  return sent && machine_.comes_to(Step::kSent);
}

void Process::send_forward_reply(const peer::ForwardReply& reply) {
  if (machine_.comes_to(Step::kEncode)) send(peer::encode(reply));
}

void Process::set_members(const raft::Configuration&, const raft::Configuration&) {}

server::Network::Abilities Process::abilities(raft::NodeId node) const {
  return machine_.network().abilities(machine_, node);
}

void Process::adopt(AdoptionWish wish, Dialed done) {
  machine_.network().adopt(machine_, {.wish = std::move(wish), .by = identity_}, std::move(done));
}

base::Status Process::adopt(const storage::Identity& by) {
  if (!node_->may_be_adopted()) return base::Status::error("it has a cluster or data of its own");
  storage::Identity identity = identity_;
  identity.cluster_id = by.cluster_id;
  identity.cluster_secret = by.cluster_secret;
  if (!disks_are_quiet()) return base::Status::error("its disk is busy");
  base::Status status = machine_.in_store([&] { return log_store_->reset(identity); });
  if (!status.is_ok()) return status;
  // As the real one, it goes on as another node; here by another process, which is simpler and no less.
  machine_.durable.clear();
  machine_.durable.set_keys_generation(identity.keys_generation);
  machine_.unfinished.clear();
  machine_.world().coverage.note(Reached::kJoined);
  machine_.die(Death::kKill);
  return {};
}

// --- End ---------------------------------------------------------------------------------------------

void Process::shut_down() {
  node_->begin_shutdown([this] { machine_.after(0, [this] { end_cleanly(); }); });
}

void Process::end_cleanly() {
  deliver_output();
  if (disks_are_quiet()) {
    const base::Status log = machine_.in_store([this] { return log_store_->close(); });
    const base::Status keys = machine_.in_store([this] { return keys_disk_->close(); });
    machine_.world().trace.text(machine_.number, "ended cleanly: " + std::string(log.is_ok() && keys.is_ok() ? "yes" : "no"));
    machine_.world().coverage.note(Reached::kEndedCleanly);
  }
  machine_.die(Death::kKill);
}

}  // namespace leto::sim
