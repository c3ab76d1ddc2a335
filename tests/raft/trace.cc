#include "raft/trace.h"

#include <algorithm>
#include <cinttypes>

#include "base/format.h"

namespace leto::raft_test {

using base::format;

namespace {

NodeId number_or(std::istringstream& arguments, NodeId otherwise) {
  std::string word;
  return arguments >> word && word != "*" && word != "all" ? std::stoull(word) : otherwise;
}

NodeId number(std::istringstream& arguments) { return number_or(arguments, 0); }

struct Link {
  NodeId from = 0;
  NodeId to = 0;
  size_t count = SIZE_MAX;
};

NodeId end_of(const std::string& word) { return word == "*" ? 0 : std::stoull(word); }

Link link(std::istringstream& arguments) {
  Link link;
  std::string word;
  if (!(arguments >> word)) return link;
  const size_t arrow = word.find("->");
  if (arrow == std::string::npos) {
    link.count = std::stoull(word);
    return link;
  }
  link.from = end_of(word.substr(0, arrow));
  link.to = end_of(word.substr(arrow + 2));
  link.count = number_or(arguments, SIZE_MAX);
  return link;
}

const char* name_of(raft::ProposeResult result) {
  constexpr const char* kNames[] = {"accepted", "not the leader", "transferring", "busy"};
  return kNames[static_cast<size_t>(result)];
}

const char* name_of(raft::TransferResult result) {
  constexpr const char* kNames[] = {"accepted", "not the leader", "not a voter", "in progress"};
  return kNames[static_cast<size_t>(result)];
}

Configuration read_configuration(std::istringstream& arguments) {
  std::map<std::string, std::vector<NodeId>> groups;
  std::string group;
  for (std::string word; arguments >> word;) {
    if (std::isdigit(static_cast<unsigned char>(word[0]))) {
      groups[group].push_back(std::stoull(word));
    } else {
      group = word;
    }
  }
  return make_configuration(groups["voters"], groups["learners"], groups["observers"]);
}

}  // namespace

Trace::Trace() {
  options_.election_ticks = 10;
  options_.heartbeat_ticks = 3;
  options_.seed = 1;
  add_set_up();
  add_time();
  add_messages();
  add_links();
  add_disk_and_life();
  add_snapshots();
  add_clients();
  add_views();
}

Cluster& Trace::cluster() {
  if (!cluster_) cluster_ = std::make_unique<Cluster>(options_);
  return *cluster_;
}

void Trace::add_set_up() {
  commands_["options"] = [this](Arguments& arguments) {
    for (std::string name; arguments >> name;) {
      const uint64_t value = number(arguments);
      if (name == "election") options_.election_ticks = static_cast<uint32_t>(value);
      if (name == "heartbeat") options_.heartbeat_ticks = static_cast<uint32_t>(value);
      if (name == "append") options_.append_bytes_max = value;
      if (name == "window") options_.window_messages_max = value;
      if (name == "lease") options_.lease_reads = value != 0;
      if (name == "lag") options_.learner_lag_max = value;
      if (name == "uncommitted") options_.uncommitted_bytes_max = value;
      if (name == "cache") options_.cache_bytes_max = value;
    }
    return std::string();
  };
  commands_["nodes"] = [this](Arguments& arguments) {
    cluster().add_voters(number(arguments));
    cluster().take_events();
    return std::string();
  };
  commands_["joiner"] = [this](Arguments& arguments) {
    const NodeId id = number(arguments);
    cluster().add(id, {});
    cluster().start(id);
    return std::string();
  };
  commands_["founder"] = [this](Arguments& arguments) {
    const NodeId id = number(arguments);
    cluster().add(id, make_configuration({id}));
    cluster().node(id).founding = true;
    cluster().start(id);
    return std::string();
  };
}

void Trace::add_time() {
  commands_["tick"] = [this](Arguments& arguments) {
    const NodeId id = number(arguments);
    const uint64_t count = number_or(arguments, 1);
    if (id == 0) {
      cluster().tick_all(count);
    } else {
      cluster().tick(id, count);
    }
    return std::string();
  };
  commands_["timeout"] = [this](Arguments& arguments) {
    return std::string(cluster().tick_to_timeout(number(arguments)) ? "" : "it does not campaign\n");
  };
  commands_["elect"] = [this](Arguments& arguments) {
    cluster().elect(number(arguments));
    return std::string();
  };
  commands_["run"] = [this](Arguments& arguments) {
    cluster().run(number(arguments));
    return std::string();
  };
}

void Trace::add_messages() {
  commands_["deliver"] = [this](Arguments& arguments) {
    const Link chosen = link(arguments);
    cluster().deliver(chosen.from, chosen.to, chosen.count);
    return std::string();
  };
  commands_["drop"] = [this](Arguments& arguments) {
    const Link chosen = link(arguments);
    return format("%zu dropped\n", cluster().drop(chosen.from, chosen.to));
  };
  commands_["duplicate"] = [this](Arguments& arguments) {
    const Link chosen = link(arguments);
    const size_t count = cluster().network().size();
    for (size_t i = 0; i < count; ++i) {
      const Message& message = cluster().network()[i];
      if (message.from == chosen.from && message.to == chosen.to) cluster().duplicate_at(i);
    }
    return std::string();
  };
  commands_["overtake"] = [this](Arguments& arguments) {
    const Link chosen = link(arguments);
    std::deque<Message>& network = cluster().network();
    const auto newest = std::find_if(network.rbegin(), network.rend(), [&](const Message& message) {
      return message.from == chosen.from && message.to == chosen.to;
    });
    if (newest == network.rend()) return std::string("nothing to overtake\n");
    const Message message = *newest;
    network.erase(std::next(newest).base());
    network.push_front(message);
    return std::string();
  };
  commands_["settle"] = [this](Arguments&) {
    cluster().settle();
    return std::string();
  };
}

void Trace::add_links() {
  commands_["cut"] = [this](Arguments& arguments) {
    const Link chosen = link(arguments);
    cluster().cut(chosen.from, chosen.to);
    return std::string();
  };
  commands_["partition"] = [this](Arguments& arguments) {
    std::vector<std::vector<NodeId>> groups(1);
    for (std::string word; arguments >> word;) {
      if (word == "|") {
        groups.emplace_back();
      } else {
        groups.back().push_back(std::stoull(word));
      }
    }
    cluster().partition(groups);
    return std::string();
  };
  commands_["heal"] = [this](Arguments&) {
    cluster().heal();
    return std::string();
  };
}

void Trace::add_disk_and_life() {
  commands_["disk"] = [this](Arguments& arguments) {
    const NodeId id = number(arguments);
    std::string mode;
    arguments >> mode;
    cluster().node(id).disk_is_manual = mode == "manual";
    if (mode == "auto") cluster().sync(id, SIZE_MAX);
    return std::string();
  };
  commands_["sync"] = [this](Arguments& arguments) {
    const NodeId id = number(arguments);
    cluster().sync(id, number_or(arguments, SIZE_MAX));
    return std::string();
  };
  commands_["stall-disk"] = [this](Arguments& arguments) {
    const NodeId id = number(arguments);
    std::string mode;
    arguments >> mode;
    cluster().stall_disk(id, mode == "on");
    return std::string();
  };
  commands_["restart"] = [this](Arguments& arguments) {
    cluster().restart(number(arguments), SIZE_MAX);
    return std::string();
  };
  commands_["lose-unsynced"] = [this](Arguments& arguments) {
    cluster().restart(number(arguments), 0);
    return std::string();
  };
  commands_["crash"] = [this](Arguments& arguments) {
    cluster().crash(number(arguments), 0);
    return std::string();
  };
  commands_["start"] = [this](Arguments& arguments) {
    cluster().start(number(arguments));
    return std::string();
  };
  commands_["lose"] = [this](Arguments& arguments) {
    const NodeId id = number(arguments);
    cluster().lose(id, number(arguments));
    return std::string();
  };
  commands_["lose-keys"] = [this](Arguments& arguments) {
    cluster().lose_keys(number(arguments));
    return std::string();
  };
  commands_["lost-tail"] = [this](Arguments& arguments) {
    const NodeId id = number(arguments);
    cluster().node(id).lost_tail = true;
    cluster().restart(id, 0);
    return std::string();
  };
}

void Trace::add_snapshots() {
  commands_["compact"] = [this](Arguments& arguments) {
    const NodeId id = number(arguments);
    cluster().compact(id, number(arguments));
    return std::string();
  };
  commands_["chunk-bytes"] = [this](Arguments& arguments) {
    const NodeId id = number(arguments);
    cluster().node(id).chunk_bytes = number(arguments);
    return std::string();
  };
  commands_["fail-snapshot"] = [this](Arguments& arguments) {
    const NodeId id = number(arguments);
    cluster().fail_snapshot(id, number(arguments));
    return std::string();
  };
  commands_["keys"] = [this](Arguments& arguments) {
    const NodeId id = number(arguments);
    std::string mode;
    arguments >> mode;
    cluster().node(id).keys_are_manual = mode == "manual";
    return std::string();
  };
  commands_["install"] = [this](Arguments& arguments) {
    cluster().install(number(arguments));
    return std::string();
  };
  commands_["loaded"] = [this](Arguments& arguments) {
    cluster().load_keys(number(arguments));
    return std::string();
  };
}

void Trace::add_clients() {
  commands_["propose"] = [this](Arguments& arguments) {
    const NodeId id = number(arguments);
    std::string text;
    arguments >> text;
    const raft::ProposeResult result = cluster().propose(id, text);
    return result == raft::ProposeResult::kAccepted ? std::string() : format("refused: %s\n", name_of(result));
  };
  commands_["bulk"] = [this](Arguments& arguments) {
    const NodeId id = number(arguments);
    const raft::ProposeResult result = cluster().propose(id, std::string(number(arguments), 'x'));
    return result == raft::ProposeResult::kAccepted ? std::string() : format("refused: %s\n", name_of(result));
  };
  commands_["read"] = [this](Arguments& arguments) {
    const NodeId id = number(arguments);
    cluster().read(id, number(arguments));
    return std::string();
  };
  commands_["transfer"] = [this](Arguments& arguments) {
    const NodeId id = number(arguments);
    return format("transfer: %s\n", name_of(cluster().transfer(id, number(arguments))));
  };
  commands_["unreachable"] = [this](Arguments& arguments) {
    const NodeId id = number(arguments);
    cluster().unreachable(id, number(arguments));
    return std::string();
  };
  commands_["change"] = [this](Arguments& arguments) {
    const NodeId id = number(arguments);
    return format("change: %s\n", name_of(cluster().change(id, read_configuration(arguments))));
  };
  commands_["replace"] = [this](Arguments& arguments) {
    const NodeId id = number(arguments);
    const NodeId old_node = number(arguments);
    const NodeId new_node = number(arguments);
    Configuration target = cluster().raft(id).configuration();
    for (raft::Member& member : target.members)
      if (member.node == old_node) member.node = new_node;
    std::sort(target.members.begin(), target.members.end(),
              [](const raft::Member& a, const raft::Member& b) { return a.node < b.node; });
    return format("change: %s\n", name_of(cluster().change(id, target)));
  };
}

void Trace::add_views() {
  commands_["show"] = [this](Arguments& arguments) {
    std::string word;
    if (arguments >> word && word == "log") return show_log(number(arguments));
    if (word == "peers") return show_peers(number(arguments));
    if (!word.empty()) return show(std::stoull(word));
    std::string text;
    for (const NodeId id : cluster().ids()) text += show(id);
    return text;
  };
  commands_["network"] = [this](Arguments&) {
    std::string text;
    for (const Message& message : cluster().network()) text += "on its way: " + describe(message) + "\n";
    return text;
  };
}

std::string Trace::show(NodeId id) {
  if (!cluster().is_up(id)) return format("%" PRIu64 ": down\n", id);
  const raft::Raft& raft = cluster().raft(id);
  return format("%" PRIu64 ": %s term %" PRIu64 " vote %" PRIu64 " leader %" PRIu64 " commit %" PRIu64
                " durable %" PRIu64 " last %" PRIu64 "/%" PRIu64 " %s%s%s\n",
                id, role_name(raft.role()), raft.term(), raft.voted_for(), raft.leader(), raft.commit_index(),
                raft.durable_index(), raft.last().term, raft.last().index, describe(raft.configuration()).c_str(),
                raft.first_index() > 1 ? format(" from %" PRIu64, raft.first_index()).c_str() : "",
                raft.role() == raft::Role::kLeader && raft.lease_holds() ? " lease" : "");
}

std::string Trace::show_log(NodeId id) {
  raft::Write all;
  all.append = cluster().node(id).log;
  return format("%" PRIu64 ":", id) + describe(all) + "\n";
}

std::string Trace::show_peers(NodeId id) {
  std::string text;
  for (const raft::PeerView& peer : cluster().raft(id).peers())
    text += format("%" PRIu64 ": match %" PRIu64 " next %" PRIu64 " in flight %zu%s%s\n", peer.node, peer.match,
                   peer.next, peer.in_flight_messages, peer.needs_snapshot ? ", needs a snapshot" : "",
                   peer.lost_tail ? ", lost its tail" : "");
  return text;
}

std::string Trace::run(const std::string& line) {
  std::istringstream arguments(line);
  std::string name;
  arguments >> name;
  const bool is_quiet = name == "quietly";
  if (is_quiet) arguments >> name;
  const auto command = commands_.find(name);
  if (command == commands_.end()) return "unknown command '" + name + "'\n";
  const bool is_summary = is_quiet || name == "elect" || name == "run" || name == "settle";
  if (cluster_) cluster_->set_verbose(!is_summary);
  const std::string answer = command->second(arguments);
  std::string text;
  if (!cluster_) return answer;
  for (const std::string& event : cluster_->take_events()) text += event + "\n";
  for (const std::string& violation : cluster_->checker().violations()) text += "VIOLATION " + violation + "\n";
  return text + answer;
}

std::string run_trace(const std::string& text) {
  Trace trace;
  std::string result;
  std::string happened;
  std::istringstream lines(text);
  bool in_expectation = false;
  for (std::string line; std::getline(lines, line);) {
    if (in_expectation) {
      in_expectation = !line.empty();
      if (!in_expectation) result += "\n";
      continue;
    }
    result += line + "\n";
    if (line == "----") {
      result += happened.empty() ? "nothing\n" : happened;
      happened.clear();
      in_expectation = true;
    } else if (!line.empty() && line[0] != '#') {
      happened += trace.run(line);
    }
  }
  return result;
}

}  // namespace leto::raft_test
