#include "server/repair.h"

#include <ctime>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/format.h"
#include "base/log.h"
#include "base/node_id.h"
#include "peer/handshake_proof.h"
#include "server/lost_keys.h"
#include "server/removal_note.h"
#include "server/start.h"
#include "storage/aside.h"
#include "storage/check.h"
#include "storage/damage.h"
#include "storage/first_look.h"
#include "storage/lost_tail.h"
#include "storage/salvage.h"
#include "storage/vfs_file.h"

namespace leto::server {

namespace {

using base::Status;
using storage::Salvage;
using Number = unsigned long long;

std::string mark_path(const std::string& directory) { return directory + "/damaged"; }
std::string rejoin_path(const std::string& directory) { return directory + "/rejoin"; }
std::string begun_path(const std::string& directory) { return directory + "/rejoin.begun"; }

// The inverse of peer::cluster_name(); empty for what is none.
std::string bytes_of_hex(std::string_view hex) {
  std::string bytes;
  for (size_t at = 0; at + 1 < hex.size(); at += 2) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(hex.data() + at, hex.data() + at + 2, value, 16);
    if (error != std::errc() || end != hex.data() + at + 2) return {};
    bytes.push_back(static_cast<char>(value));
  }
  return bytes;
}

void read_line(std::string_view name, std::string_view value, Rejoin& rejoin) {
  if (name == "id") rejoin.id = value;
  if (name == "folder") rejoin.folder = value;
  if (name == "role") rejoin.role = value == "learner" ? NodeRole::kLearner : NodeRole::kVoter;
  if (name == "cluster") rejoin.cluster_id = bytes_of_hex(value);
  if (name == "secret") rejoin.cluster_secret = bytes_of_hex(value);
  if (name != "address") return;
  if (base::Result<Address> address = parse_address(value); address.is_ok()) rejoin.addresses.push_back(address.value());
}

// What handshakes are made of: they take no other sizes.
bool has_cluster(const Rejoin& rejoin) {
  const size_t secret_bytes = rejoin.cluster_secret.size();
  return rejoin.cluster_id.size() == peer::kClusterBytes && secret_bytes >= peer::kSecretBytesMin &&
         secret_bytes <= peer::kSecretBytesMax;
}

const raft::Member* self_in(const Salvage& found, const std::string& id) {
  const raft::Member* self = found.identity ? found.configuration.find(found.identity->node) : nullptr;
  return self != nullptr ? self : found.configuration.find_id(id);
}

void add_members(const Salvage& found, const raft::Member* self, std::vector<Address>& addresses) {
  for (const raft::Member& member : found.configuration.members) {
    if (self != nullptr && member.node == self->node) continue;
    base::Result<Address> address = parse_address(member.client_address);
    if (address.is_ok()) addresses.push_back(std::move(address.value()));
  }
}

bool is_readable_cluster(const Salvage& found) {
  return found.identity && !found.identity->cluster_id.empty() && !found.identity->cluster_secret.empty();
}

// It lost its disk and comes back as another node under its id: who it was does not answer any more.
bool is_being_replaced(const raft::Configuration& configuration, const raft::Member& voter) {
  return std::any_of(configuration.members.begin(), configuration.members.end(), [&voter](const raft::Member& other) {
    const bool comes = other.role == raft::MemberRole::kLearner || other.role == raft::MemberRole::kIncoming;
    return comes && other.id == voter.id && other.node != voter.node;
  });
}

bool others_decide(const raft::Configuration& configuration, raft::NodeId self) {
  return configuration.has_quorum([&configuration, self](raft::NodeId node) {
    return node != self && !is_being_replaced(configuration, *configuration.find(node));
  });
}

// Why this node cannot be taken in again by others; nothing if it can, and then `rejoin` says by whom.
std::string objection(const Options& options, const std::string& directory, const Salvage& found, Rejoin& rejoin) {
  rejoin.id = found.identity ? found.identity->id : options.id;
  if (rejoin.id.empty()) return "its id cannot be read: say it with -id";
  if (!base::is_node_id(rejoin.id)) return "its id " + rejoin.id + " cannot be a node's: " + base::kNodeIdRule;
  const raft::Member* self = self_in(found, rejoin.id);
  if (is_readable_cluster(found)) {
    rejoin.cluster_id = found.identity->cluster_id;
    rejoin.cluster_secret = found.identity->cluster_secret;
  }
  if (options.join.is_set()) rejoin.addresses.push_back(options.join);
  add_members(found, self, rejoin.addresses);
  if (found.configuration.members.empty()) {
    return rejoin.addresses.empty() ? "who the others are cannot be read: if there are any, say -join with one's address" : "";
  }
  if (self == nullptr) return options.join.is_set() ? "" : "it is no member of the cluster that can be read";
  const bool was_removed = found.identity && !noted_removal(directory, found.identity->node).empty();
  if (was_removed && !options.join.is_set()) return "it was removed from its cluster";
  rejoin.role = self->role == raft::MemberRole::kObserver ? NodeRole::kLearner : NodeRole::kVoter;
  if (found.configuration.members.size() == 1) return "no other node has its data";
  if (!others_decide(found.configuration, self->node)) return "the others are no majority without it, and cannot take it in again";
  return rejoin.addresses.empty() ? "the addresses of the others are not known: say -join with one" : "";
}

std::string shown(const std::vector<Address>& addresses) {
  std::string text;
  for (const Address& each : addresses) text += (text.empty() ? "" : ", ") + each.text();
  return text;
}

Status finish_moving(const std::string& directory, const Rejoin& rejoin) {
  if (Status moved = storage::move_databases(directory, rejoin.folder, storage::Databases::kAll); !moved.is_ok()) return moved;
  if (Status status = storage::remove_note(mark_path(directory)); !status.is_ok()) return status;
  if (Status status = forget_lost_keys(directory); !status.is_ok()) return status;
  return storage::rename_note(begun_path(directory), rejoin_path(directory));
}

Status set_aside(const std::string& directory, Rejoin& rejoin) {
  // From here on the old incarnation is dead; the others have what it had.
  rejoin.folder = storage::next_folder(directory, static_cast<uint64_t>(std::time(nullptr)));
  Status status = storage::write_note(begun_path(directory), rejoin_text(rejoin));
  if (!status.is_ok()) return status;
  return finish_moving(directory, rejoin);
}

// Only the keys are damaged: no vote is lost, and no entry that was acknowledged. Beside a mark nobody looked at the log's files yet.
bool is_log_sound(const std::string& directory, const Salvage& found, const std::string& damage) {
  if (!storage::is_of_keys(damage) || !found.log || !found.identity) return false;
  if (!storage::look_at_log_files(directory, "").is_ok()) return false;
  if (found.identity->cluster_id.empty() || found.log->last.index == 0) return false;
  return !storage::lost_tail(*found.log, found.witness, found.applied);
}

// Every entry since the first is there, and sound: of one that is not the keys would be all that is left.
bool log_has_everything(const std::string& directory, const Salvage& found) {
  return found.log->base.index == 0 && storage::has_all_entries(directory, found.log->last.index);
}

// Whether the log lost its tail can be told by the keys file alone: without its witness others are asked first.
bool knows_its_tail(const Salvage& found) { return found.witness.index > 0; }

// Made empty, but for what the old one knew to be committed: the log alone says neither that nor, so, whose member this node is.
Status keep_witness(const std::string& directory, const Salvage& found) {
  base::Result<std::unique_ptr<storage::KeyStore>> keys =
      storage::KeyStore::open({.directory = directory, .vfs = "", .generation = found.identity->keys_generation});
  if (!keys.is_ok()) return keys.take_status();
  const storage::Witness witness{.index = std::max(found.witness.index, found.applied), .term = found.witness.term};
  if (Status status = keys.value()->write_witness(witness); !status.is_ok()) return status;
  return keys.value()->close();
}

Status make_keys_anew(const std::string& directory, const Salvage& found, const std::string& damage) {
  LETO_LOG(kWarning, "%s", damage.c_str());
  const std::string folder = storage::next_folder(directory, static_cast<uint64_t>(std::time(nullptr)));
  // Cut off before the witness is there, the next start is to judge again.
  if (Status status = mark_damaged(directory, damage); !status.is_ok()) return status;
  if (Status moved = storage::move_databases(directory, folder, storage::Databases::kKeys); !moved.is_ok()) return moved;
  if (Status status = keep_witness(directory, found); !status.is_ok()) return status;
  if (Status status = storage::remove_note(mark_path(directory)); !status.is_ok()) return status;
  if (Status status = forget_lost_keys(directory); !status.is_ok()) return status;
  LETO_LOG(kWarning, "the keys files are in %s/%s now; all keys are made anew from the log, entries 1 to %llu",
           directory.c_str(), folder.c_str(), Number{found.log->last.index});
  return {};
}

// Somebody else may lead, and send this node what it has lost. Whoever is just becoming a voter need not have it all.
bool has_another_voter(const raft::Configuration& configuration, const raft::Member& self) {
  return std::any_of(configuration.members.begin(), configuration.members.end(), [&](const raft::Member& other) {
    const bool votes = other.role == raft::MemberRole::kVoter || other.role == raft::MemberRole::kOutgoing;
    return votes && other.node != self.node && !is_being_replaced(configuration, other);
  });
}

// Who the members are, and what was committed here, must be known: the log alone does not say it.
bool has_sound_header(const std::string& directory, const Salvage& found) {
  NodeStart start{.identity = *found.identity, .recovered = *found.log, .header = {}, .witness = {}};
  const uint64_t generation = start.identity.keys_generation;
  if (!storage::file_exists("", storage::keys_path(directory, generation))) return false;
  base::Result<std::unique_ptr<storage::KeyStore>> keys =
      storage::KeyStore::open({.directory = directory, .vfs = "", .generation = generation});
  if (!keys.is_ok()) return false;
  start.header = keys.value()->header();
  start.witness = keys.value()->witness();
  return start.header.applied_index > 0 && check_together(directory, *keys.value(), start).is_ok();
}

// Not a second time: then not even the header is what it seemed to be.
bool may_wait_for_keys(const std::string& directory, const Salvage& found) {
  const raft::Member* self = self_in(found, found.identity->id);
  if (self == nullptr || self->node != found.identity->node || !has_another_voter(found.configuration, *self)) return false;
  return !keys_are_lost(directory, found.identity->keys_generation) && has_sound_header(directory, found);
}

// Log and vote count on, for a cluster of which others are down or damaged, too.
Status wait_for_keys(const std::string& directory, const Salvage& found, const std::string& damage) {
  LETO_LOG(kWarning, "%s", damage.c_str());
  if (Status status = note_lost_keys(directory, found.identity->keys_generation); !status.is_ok()) return status;
  return storage::remove_note(mark_path(directory));
}

// A mark may be about a disk that answers rightly again.
bool mark_is_void(const std::string& directory) {
  const std::string mark = marked_damage(directory);
  if (mark.empty() || storage::is_seen_by_others(mark)) return false;
  if (!storage::check_directory(directory, storage::kVfsWithoutLocks).damages.empty()) return false;
  LETO_LOG(kWarning, "the damage is not there any more: %s is sound", directory.c_str());
  return storage::remove_note(mark_path(directory)).is_ok();
}

Status refusal(const std::string& directory, const std::string& damage, const std::string& why) {
  return Status::error(base::format(
      "%s; it is not repaired: %s. leto --check %s says all that is wrong; leto --recover %s --new-cluster goes on with what "
      "is readable, if there is no other way, and accepts the loss",
      damage.c_str(), why.c_str(), directory.c_str(), directory.c_str()));
}

Status rejoin_others(const std::string& directory, Rejoin& rejoin, const std::string& damage) {
  LETO_LOG(kWarning, "%s", damage.c_str());
  if (Status status = set_aside(directory, rejoin); !status.is_ok()) return refusal(directory, damage, status.text());
  LETO_LOG(kWarning, "the files of %s are in %s/%s now; it joins its cluster again, as a new node under its old id, by %s",
           rejoin.id.c_str(), directory.c_str(), rejoin.folder.c_str(), shown(rejoin.addresses).c_str());
  return {};
}

}  // namespace

std::string rejoin_text(const Rejoin& rejoin) {
  std::string text = "id " + rejoin.id + "\nfolder " + rejoin.folder + "\n";
  if (rejoin.role) text += *rejoin.role == NodeRole::kLearner ? "role learner\n" : "role voter\n";
  if (!rejoin.cluster_id.empty()) {
    text += "cluster " + peer::cluster_name(rejoin.cluster_id) + "\nsecret " + peer::cluster_name(rejoin.cluster_secret) + "\n";
  }
  for (const Address& each : rejoin.addresses) text += "address " + each.text() + "\n";
  return text;
}

std::optional<Rejoin> parse_rejoin(const std::string& text) {
  Rejoin rejoin;
  std::string_view left = text;
  while (!left.empty()) {
    const std::string_view line = left.substr(0, left.find('\n'));
    left.remove_prefix(std::min(left.size(), line.size() + 1));
    if (const size_t space = line.find(' '); space != std::string_view::npos) {
      read_line(line.substr(0, space), line.substr(space + 1), rejoin);
    }
  }
  if (!base::is_node_id(rejoin.id) || !storage::is_folder(rejoin.folder) || rejoin.addresses.empty()) return {};
  if (!has_cluster(rejoin)) rejoin.cluster_id = rejoin.cluster_secret = "";
  return rejoin;
}

std::optional<Rejoin> read_rejoin(const std::string& directory) {
  return parse_rejoin(storage::read_note(rejoin_path(directory)));
}

Status forget_rejoin(const std::string& directory) { return storage::remove_note(rejoin_path(directory)); }

Status forget_damage(const std::string& directory) {
  for (const std::string& path : {mark_path(directory), begun_path(directory), rejoin_path(directory)}) {
    if (Status status = storage::remove_note(path); !status.is_ok()) return status;
  }
  return forget_lost_keys(directory);
}

Status mark_damaged(const std::string& directory, const std::string& sentence) {
  return storage::write_note(mark_path(directory), sentence + "\n");
}

std::string marked_damage(const std::string& directory) {
  std::string mark = storage::read_note(mark_path(directory));
  mark.resize(std::min(mark.size(), mark.find('\n')));
  return mark;
}

Status look_for_damage(const std::string& directory) {
  if (const std::optional<Rejoin> begun = parse_rejoin(storage::read_note(begun_path(directory)))) {
    if (Status status = finish_moving(directory, *begun); !status.is_ok()) return status;
  }
  if (const std::string mark = marked_damage(directory); !mark.empty()) return Status::error(mark);
  return storage::look_at_log_files(directory, "");
}

Status repair(const Options& options, const std::string& directory, const std::string& damage) {
  if (!options.repair) return refusal(directory, damage, "repair is no");
  const Salvage found = storage::salvage_directory(directory);
  const bool keeps_log = is_log_sound(directory, found, damage);
  const bool can_go_on = keeps_log && log_has_everything(directory, found);
  // It goes on as who it is: what it voted and acknowledged counts, for a cluster of which others are damaged, too.
  if (can_go_on && knows_its_tail(found)) return make_keys_anew(directory, found, damage);
  if (keeps_log && knows_its_tail(found) && may_wait_for_keys(directory, found)) return wait_for_keys(directory, found, damage);
  Rejoin rejoin;
  // Damaged anew before it was a member again: the others are those of the first time.
  std::optional<Rejoin> before = read_rejoin(directory);
  const std::string why = before ? "" : objection(options, directory, found, rejoin);
  if (before) rejoin = std::move(*before);
  if (why.empty()) return rejoin_others(directory, rejoin, damage);
  if (can_go_on) return make_keys_anew(directory, found, damage);
  if (mark_is_void(directory)) return {};
  return refusal(directory, damage, why);
}

}  // namespace leto::server
