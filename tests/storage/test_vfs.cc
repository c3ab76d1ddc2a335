// The disk itself: files, images, faults and what tests ask of it. What SQLite calls is in
// test_vfs_calls.cc.
#include "tests/storage/test_vfs.h"

#include <sqlite3.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "storage/sqlite.h"
#include "tests/storage/test_vfs_state.h"

namespace leto::storage {

const char* effect_name(Effect effect) {
  static const char* const names[kEffects] = {"io-error",   "full",       "short-write", "forgetful-sync",
                                              "lying-sync", "lost-write", "misdirected", "stop"};
  return names[static_cast<size_t>(effect)];
}

void seed_sqlite(uint32_t seed) {
  const base::Status status = configure_sqlite();
  LETO_ASSERT(status.is_ok(), status.text());
  // Zero would mean: take one from the system.
  sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, static_cast<int>(seed | 1U), nullptr);
}

// --- DiskFile ----------------------------------------------------------------------------------------

void DiskFile::write(uint64_t offset, std::string_view bytes) {
  if (current.size() < offset + bytes.size()) current.resize(offset + bytes.size());
  std::copy(bytes.begin(), bytes.end(), current.begin() + static_cast<std::ptrdiff_t>(offset));
  unsynced.push_back({.offset = offset, .size = bytes.size()});
}

void DiskFile::truncate(uint64_t size) {
  if (size < current.size()) unsynced.push_back({.offset = size, .size = current.size() - size});
  current.resize(size);
}

void DiskFile::sync() {
  synced.resize(current.size());
  for (const Range& range : unsynced) {
    if (range.offset >= current.size()) continue;
    const uint64_t size = std::min<uint64_t>(range.size, current.size() - range.offset);
    synced.replace(range.offset, size, current, range.offset, size);
  }
  unsynced.clear();
}

// The length may be the old one, the new one, or anything between; sectors that are in it but did not
// survive are what was synced there, or zeros.
void DiskFile::lose_unsynced(base::Random& random) {
  std::set<uint64_t> sectors;
  for (const Range& range : unsynced) {
    for (uint64_t at = range.offset / kSectorBytes; at * kSectorBytes < range.offset + range.size; ++at) {
      sectors.insert(at);
    }
  }
  uint64_t size =
      random.between(std::min(current.size(), synced.size()), std::max(current.size(), synced.size()));
  if (random.chance(1, 3)) size = random.chance(1, 2) ? current.size() : synced.size();
  std::string image = synced;
  image.resize(size);
  const uint64_t keep = random.below(5);   // None, some, all: each is worth its share.
  for (const uint64_t sector : sectors) {
    const uint64_t offset = sector * kSectorBytes;
    if (offset >= std::min<uint64_t>(size, current.size()) || !random.chance(keep, 4)) continue;
    const uint64_t end = std::min<uint64_t>({offset + kSectorBytes, size, current.size()});
    image.replace(offset, end - offset, current, offset, end - offset);
  }
  current = image;
  synced = std::move(image);
  unsynced.clear();
}

void DiskFile::drop_holders() {
  locks.clear();
  writers = 0;
  regions.clear();
  slots = {};
  mappers = 0;
}

// --- State -------------------------------------------------------------------------------------------

void apply_change(const DirectoryChange& change, Directory& directory) {
  if (!change.from.empty()) directory.erase(change.from);
  if (!change.to.empty()) directory[change.to] = change.file;
}

void TestDisk::State::change_directory(DirectoryChange change) {
  apply_change(change, current);
  unsynced.push_back(std::move(change));
}

void TestDisk::State::sync_directory() {
  synced = current;
  unsynced.clear();
}

namespace {

// What an effect can befall at all.
OperationSet operations_of(Effect effect) {
  switch (effect) {
    case Effect::kFull:
      return operations(Operation::kOpen) | operations(Operation::kWrite) |
             operations(Operation::kTruncate);
    case Effect::kForgetfulSync:
    case Effect::kLyingSync: return operations(Operation::kSync);
    case Effect::kLostWrite:
    case Effect::kMisdirected: return operations(Operation::kWrite);
    default: return kAnyOperation;
  }
}

}  // namespace

TestDisk::State::Met TestDisk::State::meet(Operation operation, const std::string& path) {
  ++total.operations[static_cast<size_t>(operation)];
  ++by_path[path].operations[static_cast<size_t>(operation)];
  if (stopped) return {.any = true, .effect = Effect::kStop};
  Met met;
  Armed* first = nullptr;
  for (Armed& armed : faults) {
    Fault& fault = armed.fault;
    if ((fault.kinds & operations_of(fault.effect) & operations(operation)) == 0 || fault.at == 0) continue;
    if (path.find(fault.path_part) == std::string::npos) continue;
    if (fault.at > 1) {
      --fault.at;
      continue;
    }
    if (!fault.sticky) fault.at = 0;
    if (!met.any) first = &armed;
    if (!met.any) met = {.any = true, .effect = fault.effect};
  }
  if (!met.any) return met;
  if (!std::exchange(first->met, true)) fault_hook(met.effect, operation);
  ++reached[static_cast<size_t>(met.effect)];
  stopped = stopped || met.effect == Effect::kStop;
  return met;
}

DiskFileRef TestDisk::State::find(const std::string& path) const {
  const auto found = current.find(path);
  return found == current.end() ? nullptr : found->second;
}

void TestDisk::State::end_process() {
  ++epoch;
  stopped = false;
  std::erase_if(faults, [](const Armed& armed) { return armed.fault.at == 0; });
  for (const auto& [path, file] : current) file->drop_holders();
  for (const auto& [path, file] : synced) file->drop_holders();
  for (const DirectoryChange& change : unsynced) {
    if (change.file) change.file->drop_holders();
  }
}

// --- TestDisk ----------------------------------------------------------------------------------------

TestDisk::TestDisk(const std::string& name) : state_(std::make_unique<State>()) {
  const base::Status status = configure_sqlite();
  LETO_ASSERT(status.is_ok(), status.text());
  LETO_ASSERT(sqlite3_vfs_find(name.c_str()) == nullptr, "a disk of the name " + name + " exists");
  state_->name = name;
  state_->vfs = make_vfs(state_.get());
  sqlite3_vfs_register(state_->vfs.get(), 0);
}

TestDisk::~TestDisk() {
  LETO_ASSERT(state_->open_files == 0, base::format("%zu files are open", state_->open_files));
  sqlite3_vfs_unregister(state_->vfs.get());
}

const std::string& TestDisk::name() const { return state_->name; }

void TestDisk::stop() { state_->stopped = true; }

void TestDisk::kill() { state_->end_process(); }

void TestDisk::power_cut(base::Random& random) {
  state_->end_process();
  // Changes of the directory reach the disk in order, or not at all; each is atomic.
  const uint64_t keep = random.below(5);
  for (const DirectoryChange& change : state_->unsynced) {
    if (random.chance(keep, 4)) apply_change(change, state_->synced);
  }
  state_->unsynced.clear();
  state_->current = state_->synced;
  for (const auto& [path, file] : state_->current) file->lose_unsynced(random);
}

uint64_t TestDisk::add_fault(const Fault& fault) {
  LETO_ASSERT(fault.at > 0, "the first operation is number 1");
  state_->faults.push_back({.fault = fault, .number = ++state_->faults_added});
  return state_->faults_added;
}

void TestDisk::remove_fault(uint64_t number) {
  std::erase_if(state_->faults, [number](const State::Armed& armed) { return armed.number == number; });
}

void TestDisk::on_fault(std::function<void(Effect, Operation)> hook) { state_->fault_hook = std::move(hook); }

void TestDisk::clear_faults() { state_->faults.clear(); }

bool TestDisk::stopped() const { return state_->stopped; }

void TestDisk::on_sync(std::function<void(const std::string&)> hook) {
  state_->sync_hook = std::move(hook);
}

void TestDisk::set_time_ms(int64_t time_ms) { state_->time_ms = time_ms; }

const DiskCounters& TestDisk::counters() const { return state_->total; }

DiskCounters TestDisk::counters(const std::string& path) const {
  const auto found = state_->by_path.find(path);
  return found == state_->by_path.end() ? DiskCounters() : found->second;
}

uint64_t TestDisk::operations_done() const {
  uint64_t sum = 0;
  for (size_t i = 0; i < kOperations; ++i) {
    if ((kAnyChange & (1U << i)) != 0) sum += state_->total.operations[i];
  }
  return sum;
}

uint64_t TestDisk::times_reached(Effect effect) const {
  return state_->reached[static_cast<size_t>(effect)];
}

size_t TestDisk::open_files() const { return state_->open_files; }

bool TestDisk::had_two_writers() const { return state_->two_writers; }

bool TestDisk::exists(const std::string& path) const { return state_->find(path) != nullptr; }

std::vector<std::string> TestDisk::paths() const {
  std::vector<std::string> all;
  for (const auto& [path, file] : state_->current) all.push_back(path);
  return all;
}

std::string TestDisk::contents(const std::string& path) const {
  const DiskFileRef file = state_->find(path);
  return file ? file->current : std::string();
}

std::string TestDisk::synced_contents(const std::string& path) const {
  const auto found = state_->synced.find(path);
  return found == state_->synced.end() ? std::string() : found->second->synced;
}

bool TestDisk::is_synced(const std::string& path) const {
  const DiskFileRef file = state_->find(path);
  const auto entry = state_->synced.find(path);
  return file && file->is_synced() && entry != state_->synced.end() && entry->second == file;
}

void TestDisk::set_contents(const std::string& path, std::string_view bytes) {
  auto file = std::make_shared<DiskFile>();
  file->current = file->synced = std::string(bytes);
  state_->current[path] = state_->synced[path] = std::move(file);
}

void TestDisk::flip_bit(const std::string& path, uint64_t byte, unsigned bit) {
  const DiskFileRef file = state_->find(path);
  LETO_ASSERT(file && byte < file->current.size() && bit < 8,
              path + base::format(": byte %llu", static_cast<unsigned long long>(byte)));
  const auto mask = static_cast<char>(1U << bit);
  file->current[byte] = static_cast<char>(file->current[byte] ^ mask);
  if (byte < file->synced.size()) file->synced[byte] = static_cast<char>(file->synced[byte] ^ mask);
}

void TestDisk::remove(const std::string& path) {
  state_->change_directory({.from = path, .to = {}, .file = nullptr});
}

void TestDisk::rename(const std::string& from, const std::string& to) {
  const DiskFileRef file = state_->find(from);
  LETO_ASSERT(file != nullptr, from + " is not there");
  state_->change_directory({.from = from, .to = to, .file = file});
}

void TestDisk::sync_directory() { state_->sync_directory(); }

std::map<std::string, std::string> TestDisk::synced_image() const {
  std::map<std::string, std::string> image;
  for (const auto& [path, file] : state_->synced) image[path] = file->synced;
  return image;
}

void TestDisk::restore(const std::map<std::string, std::string>& image) {
  state_->end_process();
  state_->current.clear();
  state_->synced.clear();
  state_->unsynced.clear();
  for (const auto& [path, bytes] : image) set_contents(path, bytes);
}

}  // namespace leto::storage
