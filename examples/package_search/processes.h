// The other processes of the demonstration: one that inserts until it is killed, and one that
// answers from snapshots of the database's file while another process inserts.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>

#include "shoal/database.h"

namespace package_search {

// What the processes tell each other, in memory that they share.
struct Board {
  std::atomic<uint64_t> acknowledged = 0;  // Inserts of the process that will be killed.
  std::atomic<bool> stop = false;          // The reading process ends.
  // Of the reading process: its snapshots, and of the last one the points, the time to open it and
  // to answer the query, and the nearest point.
  std::atomic<uint64_t> snapshots = 0;
  std::atomic<uint64_t> points = 0;
  std::atomic<uint64_t> open_us = 0;
  std::atomic<uint64_t> search_us = 0;
  std::atomic<uint64_t> nearest = 0;
};

// Null: no memory. It is never given back.
Board* NewBoard();

// A child of this process, which must have one thread when it is made. It is killed when the object
// goes, at the latest; and when this process ends.
class Child {
 public:
  // `work` gives its exit status.
  explicit Child(const std::function<int()>& work);
  ~Child();
  Child(const Child&) = delete;
  bool made() const { return pid_ > 0; }
  bool HasEnded();
  // kill -9.
  void Kill();
  void Wait();

 private:
  pid_t pid_ = -1;
};

// What the inserting process and the one that goes on after it open.
inline constexpr const char* kIndexName = "packages";
inline constexpr shoal::DatabaseOptions kDatabaseOptions = {.sync = shoal::SyncLevel::kInterval};

// Creates the database and inserts row i as id i, for as long as it lives.
int InsertUntilKilled(const std::filesystem::path& path, const shoal::IndexOptions& options,
                      shoal::MatrixView rows, Board& board);

// Opens a snapshot and searches it, again and again, until board.stop.
int AnswerFromSnapshots(const std::filesystem::path& path, shoal::VectorView query, Board& board);

}  // namespace package_search
