#include "jobs/database_peer.h"

#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <sstream>
#include <vector>

#include "jobs/anonymous_memory.h"
#include "runner/verb.h"
#include "shoal/database.h"
#include "shoal/dataset.h"

namespace shoal::bench {

DatabasePeer::DatabasePeer(const DatabaseFolder& folder) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    throw std::runtime_error("database-peer: no socket");
  socket_ = ends[0];
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (const int standard : {0, 1}) posix_spawn_file_actions_adddup2(&actions, ends[1], standard);
  std::string words[] = {"shoal-bench", "database-peer", folder.path.string()};
  char* const arguments[] = {words[0].data(), words[1].data(), words[2].data(), nullptr};
  const int error = posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  if (error == 0) return;
  close(socket_);
  throw std::runtime_error("database-peer: cannot be started");
}

DatabasePeer::~DatabasePeer() {
  if (pid_ == 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  close(socket_);
}

void DatabasePeer::Send(std::string request) {
  request += '\n';
  if (send(socket_, request.data(), request.size(), MSG_NOSIGNAL) < 0)
    throw std::runtime_error("database-peer: has ended");
}

Json DatabasePeer::Receive() {
  std::string line;
  for (char c = 0; c != '\n'; line += c)
    if (recv(socket_, &c, 1, 0) != 1) throw std::runtime_error("database-peer: has ended");
  Json answer = Json::parse(line);
  if (answer.contains("error")) throw std::runtime_error(answer["error"].get<std::string>());
  return answer;
}

namespace {

// The other end.
class Peer {
 public:
  explicit Peer(std::string folder) : folder_{std::move(folder)} {}

  Json Answer(const std::string& request) {
    std::istringstream words(request);
    std::string verb;
    double first = 0, second = 0;
    words >> verb >> first >> second;
    if (verb == "open") return Open(static_cast<size_t>(first));
    if (verb == "watch") return Watch(static_cast<size_t>(first), static_cast<ExternalId>(second));
    if (verb == "search") return Search(static_cast<size_t>(first), second);
    if (verb == "insert") Insert(static_cast<ExternalId>(first));
    throw std::runtime_error("database-peer: no such request: " + verb);
  }
  static void Say(const Json& answer) { std::cout << answer.dump() << std::endl; }

 private:
  DatabaseSnapshot Snapshot() const {
    return OrThrow(DatabaseSnapshot::Open(folder_.database(), kDatabaseIndex));
  }
  Matrix Read(const std::filesystem::path& file) const {
    return OrThrow(ReadBin(file, Snapshot().options().scalar_type));
  }

  Json Open(size_t times) const {
    Latencies opened;
    size_t points = 0;
    for (size_t i = 0; i < times; ++i) {
      const auto begin = Clock::now();
      points = Snapshot().size();
      opened.us.push_back(static_cast<float>(1e6 * Since(begin)));
    }
    return {{"ms", opened.Percentile(0.5) / 1000}, {"points", points}};
  }

  Json Watch(size_t row, ExternalId id) const {
    const Matrix rows = Read(folder_.rows());
    const auto finds = [&](const DatabaseSnapshot& snapshot) {
      const auto hits = OrThrow(snapshot.Search(rows[row], {.k = 10}));
      return std::ranges::find(hits, id, &Hit::id) != hits.end();
    };
    // What a process does once is not in the figure: the map's page faults, checksums.
    const auto begin = Clock::now();
    DatabaseSnapshot snapshot = Snapshot();
    if (finds(snapshot)) throw std::runtime_error("database-peer: the point is there already");
    Say({{"first_ms", 1e3 * Since(begin)}});
    do {
      snapshot = Snapshot();
    } while (!finds(snapshot));
    return {{"at", SharedSeconds()}};
  }

  Json Search(size_t list, double seconds) {
    if (queries_.rows() == 0) queries_ = Read(folder_.queries());
    const double before = AnonymousMb();
    double most = 0, searches = 0;
    const auto begin = Clock::now();
    do {
      const DatabaseSnapshot snapshot = Snapshot();
      const double each = std::min(1.0, seconds);
      const auto timed = RunTimed(snapshot, queries_, {.list = list, .seconds = each});
      if (!timed) throw std::runtime_error(timed.error());
      searches += static_cast<double>(timed->latencies.us.size());
      most = std::max(most, AnonymousMb() - before);
    } while (Since(begin) < seconds);
    return {{"qps", searches / Since(begin)}, {"anonymous_mb", most}};
  }

  [[noreturn]] void Insert(ExternalId first) const {
    const Matrix rows = Read(folder_.rows());
    // No pass: what is inserted stays in the log.
    const DatabaseOptions options{.sync = SyncLevel::kInterval, .pass_percent = 100};
    Database database = OrThrow(Database::Open(folder_.database(), options));
    const StoredIndex index = OrThrow(database.OpenIndex(kDatabaseIndex));
    for (size_t row = 0;;) {
      Transaction change = OrThrow(database.Begin());
      for (const size_t end = row + kDatabaseBatch; row < end; ++row)
        OrThrow(change.Insert(index, first + row, rows[row % rows.rows()]));
      OrThrow(change.Commit());
      Say({{"points", row}});
    }
  }

  const DatabaseFolder folder_;
  Matrix queries_;
};

}  // namespace

void AddDatabasePeer(CLI::App& app, int& status) {
  const auto folder = std::make_shared<std::string>();
  app.add_option("folder", *folder, "the job's")->required();
  app.callback([folder, &status] {
    Peer peer(*folder);
    for (std::string line; std::getline(std::cin, line);) {
      try {
        Peer::Say(peer.Answer(line));
      } catch (const std::exception& error) {
        Peer::Say({{"error", error.what()}});
        status = 1;
      }
    }
  });
}

}  // namespace shoal::bench
