// The network of those who may make one: a router, in whose network namespace this process goes on, and a node in a namespace
// of its own at the end of each cable. What is cut is dropped by the router, so neither side is told, or refused by it. Delay needs
// the kernel's netem; where it is missing a way is made narrow instead, for all that goes to that node.
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <utility>

#include "base/format.h"
#include "tests/chaos/child.h"
#include "tests/chaos/network.h"

namespace leto::chaos {

namespace {

constexpr uint16_t kClientsPort = 5379, kPeersPort = 15379;

int this_namespace() { return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC); }

bool enter_namespace(int descriptor) { return setns(descriptor, CLONE_NEWNET) == 0; }

bool write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text << std::flush;
  return file.good();
}

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> words;
  for (size_t begin = 0; begin < line.size();) {
    const size_t end = std::min(line.find(' ', begin), line.size());
    words.push_back(line.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

class Namespaces final : public Network {
 public:
  explicit Namespaces(size_t nodes) : homes_(nodes + 1, -1) {}
  ~Namespaces() override {
    if (original_ >= 0) enter_namespace(original_);
    for (const int descriptor : homes_) {
      if (descriptor >= 0) close(descriptor);
    }
    if (original_ >= 0) close(original_);
    if (router_ >= 0) close(router_);
  }

  base::Status make() {
    original_ = this_namespace();
    if (original_ < 0 || unshare(CLONE_NEWNET) != 0) return base::Status::error("a network namespace needs root");
    router_ = this_namespace();
    run("ip link set lo up");
    if (!write_file("/proc/sys/net/ipv4/ip_forward", "1")) failed_ = "forwarding";
    for (const char* which : {"all", "default"}) write_file(base::format("/proc/sys/net/ipv4/conf/%s/rp_filter", which), "0");
    for (size_t node = 1; node < homes_.size(); ++node) lay_cable(node);
    const bool delays = run("tc qdisc add dev lo root netem delay 1ms");
    if (delays) run("tc qdisc del dev lo root");
    delays_ = delays;
    return failed_.empty() ? base::Status::ok() : base::Status::error("a network namespace could not be set up: " + failed_);
  }

  std::vector<std::string> options(size_t) const override {
    return {"-listen", base::format(":%u", unsigned{kClientsPort}), "-raftbind", base::format(":%u", unsigned{kPeersPort})};
  }
  Address clients(size_t node) const override { return {host(node), kClientsPort}; }
  bool enter(size_t node) const override { return enter_namespace(homes_.at(node)); }

  void cut(size_t from, size_t to, Cut how) override {
    const std::string way = base::format("prio 100 from %s to %s ", host(from).c_str(), host(to).c_str());
    const std::string undo = "ip rule del " + way;
    const bool is_cut = std::any_of(undo_.begin(), undo_.end(), [&](const std::string& line) { return line.starts_with(undo); });
    if (is_cut) return;
    if (how == Cut::kReset) break_off(from, to);
    const char* action = how == Cut::kReset ? "unreachable" : "blackhole";
    must("ip rule add " + way + action);
    undo_.push_back(undo + action);
  }
  void slow(size_t, size_t to, Milliseconds delay) override {
    const std::string device = base::format("cable%zu", to);
    must("tc qdisc replace dev " + device + " root " +
         (delays_ ? base::format("netem delay %llums", static_cast<unsigned long long>(delay))
                  : base::format("tbf rate %llukbit burst 4kb latency %llums",
                                 static_cast<unsigned long long>(delay > 200 ? 400 : 1000), static_cast<unsigned long long>(delay))));
    undo_.push_back("tc qdisc del dev " + device + " root");
  }
  void heal() override {
    for (const std::string& line : std::exchange(undo_, {})) run(line);
  }
  std::string failure() const override { return failed_; }
  std::string description() const override {
    return delays_ ? "network namespaces, delay by netem" : "network namespaces; the kernel has no netem: narrow ways in place of delay";
  }

 private:
  static std::string host(size_t node) { return base::format("10.88.%zu.2", node); }

  static bool run(const std::string& line) { return run_command({.words = split(line)}); }
  void must(const std::string& line) {
    if (!run(line) && failed_.empty()) failed_ = line;
  }

  // All connections from one to the other. Not every kernel can (INET_DIAG_DESTROY).
  void break_off(size_t from, size_t to) {
    enter_namespace(homes_.at(from));
    run("ss -K dst " + host(to));
    enter_namespace(router_);
  }

  void lay_cable(size_t node) {
    if (unshare(CLONE_NEWNET) == 0) homes_[node] = this_namespace();
    enter_namespace(router_);
    const int home = homes_[node];
    if (home < 0) {
      failed_ = "no namespace for a node";
      return;
    }
    must(base::format("ip link add cable%zu type veth peer name eth0 netns /proc/%d/fd/%d", node, static_cast<int>(getpid()), home));
    must(base::format("ip addr add 10.88.%zu.1/24 dev cable%zu", node, node));
    must(base::format("ip link set cable%zu up", node));
    write_file(base::format("/proc/sys/net/ipv4/conf/cable%zu/rp_filter", node), "0");
    enter_namespace(home);
    must("ip link set lo up");
    must("ip addr add " + host(node) + "/24 dev eth0");
    must("ip link set eth0 up");
    must(base::format("ip route add default via 10.88.%zu.1", node));
    enter_namespace(router_);
  }

  int original_ = -1, router_ = -1;
  std::vector<int> homes_;
  bool delays_ = false;
  std::string failed_;               // The first command that did not work.
  std::vector<std::string> undo_;    // What frees the ways again.
};

}  // namespace

base::Result<std::unique_ptr<Network>> make_namespaces(size_t nodes) {
  auto network = std::make_unique<Namespaces>(nodes);
  base::Status made = network->make();
  if (!made.is_ok()) return made;
  return std::unique_ptr<Network>(std::move(network));
}

}  // namespace leto::chaos
