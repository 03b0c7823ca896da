#include "package_search/processes.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <new>
#include <thread>

namespace package_search {
namespace {

using Clock = std::chrono::steady_clock;

uint64_t MicrosecondsSince(Clock::time_point start) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start).count());
}

}  // namespace

Board* NewBoard() {
  void* const memory =
      mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : new (memory) Board();
}

Child::Child(const std::function<int()>& work) {
  std::fflush(nullptr);  // Or the child writes it once more.
  pid_ = fork();
  if (pid_ != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  _exit(work());
}

Child::~Child() { Kill(); }

bool Child::HasEnded() {
  if (pid_ > 0 && waitpid(pid_, nullptr, WNOHANG) == 0) return false;
  pid_ = -1;
  return true;
}

void Child::Kill() {
  if (pid_ > 0) kill(pid_, SIGKILL);
  Wait();
}

void Child::Wait() {
  if (pid_ > 0) waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

int InsertUntilKilled(const std::filesystem::path& path, const shoal::IndexOptions& options,
                      shoal::MatrixView rows, Board& board) {
  auto database = shoal::Database::Open(path, kDatabaseOptions);
  if (!database) return 1;
  auto index = database->CreateIndex(kIndexName, options);
  if (!index) return 1;
  for (size_t row = 0; row < rows.rows(); ++row) {
    if (!index->Insert(row, rows[row])) return 1;
    board.acknowledged.store(row + 1);
  }
  for (;;) pause();
}

int AnswerFromSnapshots(const std::filesystem::path& path, shoal::VectorView query, Board& board) {
  while (!board.stop.load()) {
    auto start = Clock::now();
    const auto snapshot = shoal::DatabaseSnapshot::Open(path, kIndexName);
    if (snapshot && snapshot->size() > 0) {
      const uint64_t open_us = MicrosecondsSince(start);
      start = Clock::now();
      const auto hits = snapshot->Search(query, {.k = 1});
      if (!hits || hits->empty()) return 1;
      board.search_us.store(MicrosecondsSince(start));
      board.open_us.store(open_us);
      board.nearest.store(hits->front().id);
      board.points.store(snapshot->size());
      board.snapshots.fetch_add(1);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return 0;
}

}  // namespace package_search
