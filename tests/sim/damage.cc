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

// The keys file that is there; the newest, if a snapshot comes.
std::string keys_of(const storage::TestDisk& disk) {
  std::string found;
  for (const std::string& path : disk.paths()) {
    if (path.find("/keys-") != std::string::npos && path.ends_with(".db")) found = path;
  }
  return found;
}

}  // namespace

const Damage::Kind Damage::kKinds[] = {
    {Reached::kLyingSync, &Damage::lie_about_sync},
    {Reached::kRotSnapshot, &Damage::rot_snapshot},
    {Reached::kRotLogTail, &Damage::rot_log_tail},
    {Reached::kRotKeys, &Damage::rot_keys},
    {Reached::kLostWrite, &Damage::lose_write},
    {Reached::kRotLogMiddle, &Damage::rot_log_middle},
    {Reached::kOldBackup, &Damage::restore_backup},
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
  if (saved_.empty() && saved_of_->ready()) {
    saved_ = saved_of_->disk.synced_image();
    saved_node_ = saved_of_->node();
  }
  if (spool_fault_ != nullptr) rot_spool();
  if (copy_ != nullptr) watch_copy();
  if (victim_ != nullptr) return settle();
  const Planned* next = next_due();
  if (next == nullptr || now < next_at_ || !operators_.may_lose_one()) return;
  inject(*next);
  planned_.pop_front();
}

const Damage::Planned* Damage::next_due() {
  const Microseconds passed = world_.scheduler.now() - world_.faults.begun_at();
  while (!planned_.empty() && planned_.front().fault->at <= passed && planned_.front().fault->left_out) planned_.pop_front();
  return planned_.empty() || planned_.front().fault->at > passed ? nullptr : &planned_.front();
}

void Damage::inject(const Planned& planned) {
  const Reached name = planned.kind->name;
  fault_ = planned.fault;
  const bool own_victim = name == Reached::kOldBackup && saved_of_->node() == saved_node_;
  victim_ = own_victim ? saved_of_ : &cluster_.random_machine(fault_->random);
  victim_->suspect = true;
  victim_->damage = name;
  judged_at_ = world_.scheduler.now() + kJudgedAfter;
  (this->*planned.kind->inflict)();
  if (victim_->suspect) world_.note(*fault_, name, victim_->number);
}

// Killed or cut when it is time, and looked at with --check when it was not found out by then.
void Damage::settle() {
  const Microseconds now = world_.scheduler.now();
  if (!victim_->suspect) {
    next_at_ = now + kPauseLow;
    operators_.replace(*fault_, *victim_);
    victim_ = nullptr;
    return;
  }
  if (strike_ != Death::kNone && now >= strikes_at_) return victim_->die(std::exchange(strike_, Death::kNone));
  if (now < judged_at_ || victim_->checked_before_start) return;
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

void Damage::fault(storage::Operation kind, storage::Effect effect, bool sticky) {
  static constexpr const char* kFiles[] = {"raft.db", "raft.db", "keys-", ""};
  victim_->disk.add_fault({.at = sticky ? 1 : fault_->random.between(1, 12), .kinds = storage::operations(kind), .effect = effect,
                           .sticky = sticky, .path_part = kFiles[fault_->random.below(4)]});
  restart_in(fault_->random.between(20, 900) * kMillisecond, fault_->random.chance(2, 3) ? Death::kPowerCut : Death::kKill);
}

void Damage::lie_about_sync() {
  fault(storage::Operation::kSync, storage::Effect::kLyingSync, true);
  strike_ = Death::kPowerCut;
}

void Damage::lose_write() { fault(storage::Operation::kWrite, storage::Effect::kLostWrite, false); }

void Damage::misdirect() { fault(storage::Operation::kWrite, storage::Effect::kMisdirected, false); }

// --- Rot ---------------------------------------------------------------------------------------------

void Damage::rot(const std::string& path, uint64_t begin, uint64_t end) {
  end = std::min<uint64_t>(end, victim_->disk.contents(path).size());
  for (uint64_t bits = fault_->random.chance(1, 2) ? 1 : fault_->random.between(2, 40); bits > 0 && begin < end; --bits) {
    victim_->disk.flip_bit(path, fault_->random.between(begin, end - 1), static_cast<unsigned>(fault_->random.below(8)));
  }
  // Often it is dead when it happens, and so sees it at its start.
  if (fault_->random.chance(3, 4)) restart_in(fault_->random.chance(1, 2) ? 0 : fault_->random.below(800 * kMillisecond), Death::kKill);
}

void Damage::rot_frame(bool last) {
  base::Result<storage::WalScan> scan = storage::scan_wal(victim_->disk.name(), kLog);
  const uint64_t frames = scan.is_ok() ? scan.value().frames_read : 0;
  const std::string log = victim_->disk.contents(kLog), wal = victim_->disk.contents(kWal);
  if (frames == 0 || wal.size() < kWalHeaderBytes) return rot(kLog, 100, log.size());
  const uint64_t page = static_cast<unsigned char>(wal[10]) * 256u + static_cast<unsigned char>(wal[11]);
  const uint64_t frame = last ? frames - 1 - fault_->random.below(std::min<uint64_t>(frames, 3)) : fault_->random.below(frames);
  const uint64_t begin = kWalHeaderBytes + frame * (page + kFrameHeaderBytes);
  rot(kWal, begin, begin + page + kFrameHeaderBytes);
}

void Damage::rot_hard_state() {
  const std::string log = victim_->disk.contents(kLog);
  const size_t at = log.find("voted_for");
  rot(kLog, at == std::string::npos ? 100 : at, at == std::string::npos ? log.size() : at + 24);
}

void Damage::rot_page() { rot(kLog, 0, victim_->disk.contents(kLog).size()); }

void Damage::rot_keys() {
  const std::string path = keys_of(victim_->disk);
  if (path.empty()) return;
  rot(path, 0, victim_->disk.contents(path).size());
}

// Half of a sector is another's.
void Damage::tear_block() {
  const std::string path = fault_->random.chance(1, 2) ? std::string(kLog) : fault_->random.chance(1, 2) ? kWal : keys_of(victim_->disk);
  const uint64_t sectors = victim_->disk.contents(path).size() / storage::kSectorBytes;
  if (sectors == 0) return;
  const uint64_t begin = fault_->random.below(sectors) * storage::kSectorBytes;
  for (uint64_t byte = begin; byte < begin + storage::kSectorBytes / 2; ++byte) {
    victim_->disk.flip_bit(path, byte, static_cast<unsigned>(byte % 8));
  }
  restart_in(fault_->random.below(300 * kMillisecond), Death::kKill);
}

// A member is replaced, so that a snapshot is sent; the copy that is sent rots.
void Damage::rot_snapshot() {
  victim_->suspect = false;
  world_.faults.tell(*fault_, victim_->number, "is replaced, and the snapshot that it gets will rot");
  victim_->wipe();
  spool_fault_ = fault_;
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

// Of both files, or of the log alone.
void Damage::restore_backup() {
  if (saved_.empty() || victim_->node() != saved_node_) {
    saved_ = victim_->disk.synced_image();
    saved_node_ = victim_->node();
    saved_of_ = victim_;
  }
  victim_->comes_back_with = saved_;
  if (fault_->random.chance(1, 2)) {
    for (const std::string& path : victim_->disk.paths()) {
      if (path.find("/keys-") == std::string::npos) continue;
      victim_->comes_back_with[path] = victim_->disk.synced_image()[path];
    }
  }
  restart_in(fault_->random.below(1500 * kMillisecond), Death::kKill);
}

// What another machine has, in the place of its own.
void Damage::clone() {
  const size_t other = victim_->number % cluster_.machines().size();
  victim_->comes_back_with = cluster_.machines()[other]->disk.synced_image();
  victim_->die(Death::kKill);
}

// In the place of the victim, whose own data are gone, runs a copy of another member that runs, too: two processes with one
// identity. Where it is said of a member that it has moved, its peers reach now the one, now the other.
void Damage::run_twice() {
  clone();
  victim_->runs_copy = true;
  copy_ = victim_;
}

void Damage::watch_copy() {
  const bool runs = copy_->runs_copy;
  if (runs && world_.scheduler.now() < judged_at_) return;
  if (runs) copy_->wipe();
  operators_.replace(*fault_, *copy_);
  copy_ = nullptr;
}

}  // namespace leto::sim
