#include "tests/sim/damage.h"

#include <algorithm>
#include <utility>

#include "base/format.h"
#include "storage/wal_scan.h"
#include "tests/sim/process.h"

namespace leto::sim {

namespace {

constexpr uint64_t kStream = 0x64616d61;
constexpr Microseconds kLook = 2 * kMillisecond;
constexpr Microseconds kJudgedAfter = 2 * kSecond;
// Between one that is settled and the next; how long one usually takes.
constexpr Microseconds kPauseLow = 200 * kMillisecond, kPauseHigh = 1500 * kMillisecond, kUsuallyTakes = kSecond;
constexpr uint64_t kSpoolBytesMin = 8192;
constexpr char kLog[] = "/sim/raft.db", kWal[] = "/sim/raft.db-wal";
constexpr uint64_t kWalHeaderBytes = 32, kFrameHeaderBytes = 24;

bool is_of_keys(const std::string& path) { return path.find("/keys-") != std::string::npos; }

// The keys file that is there; the newest, if a snapshot comes.
std::string keys_of(const storage::TestDisk& disk) {
  std::string found;
  for (const std::string& path : disk.paths()) {
    if (is_of_keys(path) && path.ends_with(".db")) found = path;
  }
  return found;
}

}  // namespace

const Damage::Kind Damage::kKinds[] = {
    {Reached::kLyingSync, &Damage::lie_about_sync},
    {Reached::kRotSnapshot, &Damage::rot_snapshot},
    {Reached::kRotLogTail, &Damage::rot_log_tail},
    {Reached::kRotKeys, &Damage::rot_keys},
    {Reached::kLostKeys, &Damage::lose_keys},
    {Reached::kLostWrite, &Damage::lose_write},
    {Reached::kRotLogMiddle, &Damage::rot_log_middle},
    {Reached::kOldBackup, &Damage::restore_backup},
    {Reached::kOldLog, &Damage::restore_log},
    {Reached::kMisdirected, &Damage::misdirect},
    {Reached::kRotHardState, &Damage::rot_hard_state},
    {Reached::kClonedDirectory, &Damage::clone},
    {Reached::kTornBlock, &Damage::tear_block},
    {Reached::kRotPage, &Damage::rot_page},
    {Reached::kRunsTwice, &Damage::run_twice},
};

Damage::Damage(World& world, Cluster& cluster, Operator& operators)
    : world_(world), cluster_(cluster), operators_(operators), random_(world.stream(kStream)) {}

void Damage::plan() {
  spool_fault_ = &world_.faults.add(Reached::kRotSnapshot, 0, {});
  if (spool_fault_->left_out) spool_fault_ = nullptr;
  uint64_t turn = world_.parameters.damage_turn;
  for (Microseconds at = random_.between(kPauseLow, kPauseHigh); at < world_.parameters.chaos;
       at += kUsuallyTakes + random_.between(kPauseLow, kPauseHigh)) {
    const Kind& kind = kKinds[turn++ % std::size(kKinds)];
    planned_.push_back({.fault = &world_.faults.add(kind.name, at, {}), .kind = &kind});
  }
}

void Damage::begin() {
  saved_of_ = &cluster_.random_machine(random_);
  look();
}

void Damage::look() {
  if (over_) return;
  world_.scheduler.after(kLook, [this] { look(); });
  const Microseconds now = world_.scheduler.now();
  save();
  if (spool_fault_ != nullptr) rot_spool();
  if (copy_ != nullptr) watch_copy();
  if (victim_ != nullptr) return settle();
  const Planned* next = next_due();
  if (next == nullptr || now < next_at_ || !operators_.may_lose_one()) return;
  if (inject(*next)) planned_.pop_front();
}

// The backup is of the node that is there now, from when it had just become a member.
void Damage::save() {
  if (saved_of_->node() == saved_node_ || !saved_of_->ready() || saved_of_->suspect || !operators_.is_member(*saved_of_)) return;
  saved_ = saved_of_->disk.synced_image();
  saved_node_ = saved_of_->node();
  saved_last_ = saved_of_->durable.last();
}

const Damage::Planned* Damage::next_due() {
  const Microseconds passed = world_.scheduler.now() - world_.faults.begun_at();
  while (!planned_.empty() && planned_.front().fault->at <= passed && planned_.front().fault->left_out) planned_.pop_front();
  return planned_.empty() || planned_.front().fault->at > passed ? nullptr : &planned_.front();
}

bool Damage::inject(const Planned& planned) {
  const Reached name = planned.kind->name;
  fault_ = planned.fault;
  const bool old = name == Reached::kOldBackup || name == Reached::kOldLog;
  victim_ = old ? saved_of_ : &cluster_.random_machine(fault_->random);
  victim_->suspect = true;
  victim_->damage = name;
  judged_at_ = world_.scheduler.now() + kJudgedAfter;
  struck_life_ = 0;
  if (!(this->*planned.kind->inflict)()) {
    std::exchange(victim_, nullptr)->suspect = false;
    return false;
  }
  if (victim_->suspect) world_.faults.tell(*fault_, victim_->number, reached_name(name));
  return true;
}

// What it lost is to be found at the first start after that, without --check.
bool Damage::has_started_since() const {
  return victim_->ready() && victim_->life() > struck_life_ + 1;
}

// Killed or cut when it is time, and looked at with --check when it was not found out by then.
void Damage::settle() {
  const Microseconds now = world_.scheduler.now();
  if (!victim_->suspect) {
    // Who lost but its keys stays who it is.
    if (victim_->keys_lost != 0) return;
    next_at_ = now + kPauseLow;
    if (fault_->name != Reached::kLostKeys) operators_.replace(*fault_, *victim_);
    victim_ = nullptr;
    return;
  }
  if (strike_ != Death::kNone && now >= strikes_at_) {
    struck_life_ = victim_->life();
    return victim_->die(std::exchange(strike_, Death::kNone));
  }
  if (now < judged_at_ || strike_ != Death::kNone || victim_->checked_before_start || !has_started_since()) return;
  victim_->checked_before_start = true;
  victim_->die(Death::kKill);
}

void Damage::end() {
  over_ = true;
  if (copy_ != nullptr && copy_->runs_copy) copy_->wipe();
  if (victim_ == nullptr || !victim_->suspect) return;
  victim_->checked_before_start = true;
  victim_->die(strike_ == Death::kPowerCut ? Death::kPowerCut : Death::kKill);
}

void Damage::restart_in(Microseconds length, Death how) {
  strikes_at_ = world_.scheduler.now() + length;
  strike_ = how;
}

// --- A disk that lies --------------------------------------------------------------------------------

bool Damage::fault(storage::Operation kind, storage::Effect effect, bool sticky) {
  static constexpr const char* kFiles[] = {"raft.db", "raft.db", "keys-", ""};
  victim_->arm_damage({.at = sticky ? 1 : fault_->random.between(1, 12), .kinds = storage::operations(kind), .effect = effect,
                           .sticky = sticky, .path_part = kFiles[fault_->random.below(4)]});
  restart_in(fault_->random.between(20, 900) * kMillisecond, fault_->random.chance(2, 3) ? Death::kPowerCut : Death::kKill);
  return true;
}

// These three are counted when they are met; see Machine.
bool Damage::lie_about_sync() {
  fault(storage::Operation::kSync, storage::Effect::kLyingSync, true);
  strike_ = Death::kPowerCut;
  return true;
}

bool Damage::lose_write() { return fault(storage::Operation::kWrite, storage::Effect::kLostWrite, false); }

bool Damage::misdirect() { return fault(storage::Operation::kWrite, storage::Effect::kMisdirected, false); }

// --- Rot ---------------------------------------------------------------------------------------------

bool Damage::rot(const std::string& path, uint64_t begin, uint64_t end) {
  end = std::min<uint64_t>(end, victim_->disk.contents(path).size());
  if (begin >= end) return false;
  for (uint64_t bits = fault_->random.chance(1, 2) ? 1 : fault_->random.between(2, 40); bits > 0; --bits) {
    victim_->disk.flip_bit(path, fault_->random.between(begin, end - 1), static_cast<unsigned>(fault_->random.below(8)));
  }
  world_.coverage.note(fault_->name);
  // Often it is dead when it happens, and so sees it at its start.
  if (fault_->random.chance(3, 4)) restart_in(fault_->random.chance(1, 2) ? 0 : fault_->random.below(800 * kMillisecond), Death::kKill);
  return true;
}

bool Damage::rot_frame(bool last) {
  base::Result<storage::WalScan> scan = storage::scan_wal(victim_->disk.name(), kLog);
  const uint64_t frames = scan.is_ok() ? scan.value().frames_read : 0;
  const std::string log = victim_->disk.contents(kLog), wal = victim_->disk.contents(kWal);
  if (frames == 0 || wal.size() < kWalHeaderBytes) return rot(kLog, 100, log.size());
  const uint64_t page = static_cast<unsigned char>(wal[10]) * 256u + static_cast<unsigned char>(wal[11]);
  const uint64_t frame = last ? frames - 1 - fault_->random.below(std::min<uint64_t>(frames, 3)) : fault_->random.below(frames);
  const uint64_t begin = kWalHeaderBytes + frame * (page + kFrameHeaderBytes);
  return rot(kWal, begin, begin + page + kFrameHeaderBytes);
}

bool Damage::rot_hard_state() {
  const std::string log = victim_->disk.contents(kLog);
  const size_t at = log.find("voted_for");
  return rot(kLog, at == std::string::npos ? 100 : at, at == std::string::npos ? log.size() : at + 24);
}

bool Damage::rot_page() { return rot(kLog, 0, victim_->disk.contents(kLog).size()); }

bool Damage::rot_keys() {
  const std::string path = keys_of(victim_->disk);
  return !path.empty() && rot(path, 0, victim_->disk.contents(path).size());
}

// Beside a log that is sound and does not have everything: a snapshot of the leader's is to bring them back.
bool Damage::lose_keys() {
  if (!victim_->ready() || victim_->flushed == 0 || victim_->process()->node().loading()) return false;
  victim_->keys_lost = victim_->process()->node().identity().keys_generation;
  victim_->suspect = false;
  victim_->die(Death::kKill);
  world_.faults.tell(*fault_, victim_->number, reached_name(Reached::kLostKeys));
  world_.coverage.note(Reached::kLostKeys);
  return true;
}

// Half of a sector is another's.
bool Damage::tear_block() {
  std::string path = fault_->random.chance(1, 2) ? std::string(kLog) : fault_->random.chance(1, 2) ? kWal : keys_of(victim_->disk);
  if (victim_->disk.contents(path).size() < storage::kSectorBytes) path = kLog;
  const uint64_t sectors = victim_->disk.contents(path).size() / storage::kSectorBytes;
  if (sectors == 0) return false;
  const uint64_t begin = fault_->random.below(sectors) * storage::kSectorBytes;
  for (uint64_t byte = begin; byte < begin + storage::kSectorBytes / 2; ++byte) {
    victim_->disk.flip_bit(path, byte, static_cast<unsigned>(byte % 8));
  }
  world_.coverage.note(fault_->name);
  restart_in(fault_->random.below(300 * kMillisecond), Death::kKill);
  return true;
}

// A member is replaced, so that a snapshot is sent; the copy that is sent rots.
bool Damage::rot_snapshot() {
  victim_->suspect = false;
  world_.faults.tell(*fault_, victim_->number, "is replaced, and the snapshot that it gets will rot");
  victim_->wipe();
  spool_fault_ = fault_;
  return true;
}

void Damage::rot_spool() {
  for (const auto& machine : cluster_.machines()) {
    for (const std::string& path : machine->disk.paths()) {
      if (!machine->copy_is_summed || !path.ends_with(".spool")) continue;
      const uint64_t size = machine->disk.contents(path).size();
      if (size < kSpoolBytesMin) continue;
      Fault& fault = *std::exchange(spool_fault_, nullptr);
      machine->disk.flip_bit(path, fault.random.below(size), static_cast<unsigned>(fault.random.below(8)));
      return world_.note(fault, Reached::kRotSnapshot, machine->number);
    }
  }
}

// --- Copies ------------------------------------------------------------------------------------------

// What was there before, soon. Counted when it is put back; see Machine.
bool Damage::restore_backup() {
  if (saved_of_->node() != saved_node_ || saved_of_->durable.last() <= saved_last_) return false;
  victim_->comes_back_with = saved_;
  restart_in(fault_->random.below(1500 * kMillisecond), Death::kKill);
  return true;
}

// Of raft.db alone, beside the keys of today, which know of later entries (D16).
bool Damage::restore_log() {
  if (saved_of_->node() != saved_node_ || saved_of_->flushed <= saved_last_) return false;
  victim_->comes_back_with = saved_;
  const std::map<std::string, std::string> now = victim_->disk.synced_image();
  std::erase_if(victim_->comes_back_with, [](const auto& file) { return is_of_keys(file.first); });
  for (const auto& [path, bytes] : now) {
    if (is_of_keys(path)) victim_->comes_back_with[path] = bytes;
  }
  victim_->die(Death::kKill);
  struck_life_ = victim_->life();
  return true;
}

// What another machine has, in the place of its own.
bool Damage::clone() {
  const size_t other = victim_->number % cluster_.machines().size();
  victim_->comes_back_with = cluster_.machines()[other]->disk.synced_image();
  struck_life_ = victim_->life();
  victim_->die(Death::kKill);
  return true;
}

// In the place of the victim, whose own data are gone, runs a copy of another member that runs, too: two processes with one
// identity. Where it is said of a member that it has moved, its peers reach now the one, now the other.
bool Damage::run_twice() {
  clone();
  victim_->runs_copy = true;
  copy_ = victim_;
  return true;
}

void Damage::watch_copy() {
  const bool runs = copy_->runs_copy;
  if (runs && world_.scheduler.now() < judged_at_) return;
  if (runs) copy_->wipe();
  operators_.replace(*fault_, *copy_);
  copy_ = nullptr;
}

}  // namespace leto::sim
