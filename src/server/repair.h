// What becomes of a data directory whose bytes are rotten or lost: its files are moved aside and the node joins its cluster
// again as a new one under its old id; or only the keys are lost, and come anew from the log or from the leader; or it is said
// why none of this can be. At start, before anything is open. Refuses to know how damage is found, and how a node joins.
//
// Invariants: nothing is moved unless others can take the node in, or its log holds everything; a move that was cut off is
// finished by the next start; an incarnation that lost what it had promised is never used again.
//
//   damaged        the sentence about damage that was found while the node ran; judged at the next start
//   rejoin.begun   files are being moved aside; becomes
//   rejoin         who the node is to be and where the others are, until it is a member again
//   damaged-<unix time>/   what was moved aside
//   keys-lost      lost_keys.h: the keys alone are damaged, a leader is to send them
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "server/options.h"

namespace leto::server {

// The exit status of a node that found damage and repairs itself when it is started again; sysexits.h: EX_TEMPFAIL.
inline constexpr int kDamageExitStatus = 75;

struct Rejoin {
  std::string id = {};
  std::string cluster_id = {};  // Empty, like the secret, if they could not be read: the JOIN brings them.
  std::string cluster_secret = {};
  std::optional<NodeRole> role = {};   // As which it was a member, whatever -role says; none: that could not be read.
  std::string folder = {};      // Where the old files are.
  std::vector<Address> addresses = {};   // Client addresses of the others.
};

// The note `rejoin` as text and back; nothing for what is none, and no cluster where that is none. It has no checksum: what is
// wrong in it must lead neither out of the directory nor into a handshake.
std::string rejoin_text(const Rejoin& rejoin);
std::optional<Rejoin> parse_rejoin(const std::string& text);

// Nothing if this node is to rejoin nobody.
std::optional<Rejoin> read_rejoin(const std::string& directory);
// It is a member again: no error if it had nobody to rejoin. What stays after an error makes the next start ask once more,
// which does no harm.
base::Status forget_rejoin(const std::string& directory);

// Remembers damage that only a running node saw. Any thread. After an error the next start sees only what it looks at itself.
base::Status mark_damaged(const std::string& directory, const std::string& sentence);
// That sentence; empty if there is none.
std::string marked_damage(const std::string& directory);

// All notes about damage and about a repair: whoever calls this has decided what the node is from now on.
base::Status forget_damage(const std::string& directory);

// What can be seen of damage before the stores are opened: the mark, a raft.db or a WAL of it that is not what it was. OK if
// there is none. A move that was cut off is finished first.
base::Status look_for_damage(const std::string& directory);

// Moves aside what `damage` makes useless, or notes that the keys are lost, and says so in the log: the directory can be
// opened then. Else changes nothing, and the error is `damage`, why it is not repaired, and what can be done. REQUIRES: no
// file of the directory is open.
base::Status repair(const Options& options, const std::string& directory, const std::string& damage);

}  // namespace leto::server
