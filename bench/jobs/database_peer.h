// Another process that uses the database of the job "database": this program again, with the verb
// "database-peer". A request is a line; the answer is one of JSON, with "error" if it failed.
//
//   open TIMES            opens a snapshot so often -> ms (median), points
//   watch ROW ID          -> {}; then opens snapshots until a search for the row finds the id
//                         -> at (SharedSeconds)
//   search LIST SECONDS   the queries, from a new snapshot every second -> qps, anonymous_mb
//   insert FIRST          opens the database for writing, inserts the rows again and again under
//   ids
//                         from FIRST on -> points, after each commit; ends by being killed
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <utility>

#include "jobs/timed_search.h"
#include "runner/json.h"
#include "worker/or_throw.h"

namespace shoal::bench {

// Files that the processes share.
struct DatabaseFolder {
  std::filesystem::path path;
  std::filesystem::path database() const { return path / "points.db"; }
  std::filesystem::path queries() const { return path / "queries"; }  // As .bin,
  std::filesystem::path rows() const { return path / "rows"; }        // likewise.
};
inline constexpr const char* kDatabaseIndex = "points";
inline constexpr size_t kDatabaseBatch = 1000;  // Points of a transaction.

// By a clock that all processes share.
inline double SharedSeconds() {
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

// The job's end of it. Functions throw std::runtime_error.
class DatabasePeer {
 public:
  explicit DatabasePeer(const DatabaseFolder& folder);
  DatabasePeer(DatabasePeer&& other) noexcept
      : pid_(std::exchange(other.pid_, 0)), socket_(std::exchange(other.socket_, -1)) {}
  DatabasePeer& operator=(DatabasePeer&&) = delete;
  ~DatabasePeer();  // SIGKILL. It has ended then.

  void Send(std::string request);
  Json Receive();
  Json Ask(std::string request) { return Send(std::move(request)), Receive(); }

 private:
  pid_t pid_ = 0;
  int socket_ = -1;
};

}  // namespace shoal::bench
