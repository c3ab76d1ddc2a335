// Node: which requests go to the leader, and those of other nodes' clients.
#include <utility>

#include "server/forwarded.h"
#include "server/forwarder.h"
#include "server/node.h"
#include "server/replica.h"

namespace leto::server {

void Node::on_forward(peer::Forward forward) { forwarded_->on_forward(std::move(forward)); }

void Node::on_forward_reply(const peer::ForwardReply& reply) { forwarder_->on_reply(reply); }

void Node::forward_command(const std::vector<std::string>& arguments, std::function<void(const std::string& error)> done) {
  forwarder_->command(arguments, std::move(done));
}

bool Node::is_forwarded(Session& session, const command::Command& command) const {
  const bool leads = replica_->raft().role() == raft::Role::kLeader;
  if ((command.flags & command::kLeaderOnly) != 0) return !leads;
  if ((command.flags & command::kWrite) == 0) return false;
  // Behind one that is under way it keeps its place, whoever leads now.
  const Request* before = session.last_write();
  if (before != nullptr && before->state == RequestState::kForwarded) return true;
  const bool forwards = options_.follower_writes == FollowerWrites::kForward && !leads && shutdown_ < Shutdown::kEnding;
  return forwards && leader_takes_forwards();
}

bool Node::leader_takes_forwards() const {
  const Network::Abilities abilities = environment_.network.abilities(replica_->raft().leader());
  return !abilities.known || (abilities.features & peer::kFeatureForward) != 0;
}

bool Node::goes_to_who_leads(const Session& session) const {
  return !session.for_peer && leader_takes_forwards();
}

void Node::run_forwarded_here(const SessionRef& session, Session::Sequence sequence) {
  Request& request = *session->find(sequence);
  if (request.state == RequestState::kForwarded) return replica_->write_here(session, sequence);
  const OwnedArguments arguments = request.arguments;   // It keeps them: it may go to another leader yet.
  defer(session, sequence, arguments.views());
}

}  // namespace leto::server
