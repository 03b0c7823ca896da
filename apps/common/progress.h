// Progress of long work: a live line with rate and time left if stderr is a terminal, else (a log,
// a pipe) a plain line about every tenth.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace shoal::apps {

// Made when the work begins; Update as it goes on; the destructor ends the live line. One thread at
// a time.
class Progress {
 public:
  // "<label>: 40 % of 1,000,000 <unit>, 12,345/s, 48 s left".
  Progress(std::string label, std::string unit, size_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void Update(size_t done);
  // Since construction.
  double Seconds() const;

 private:
  using Clock = std::chrono::steady_clock;

  std::string Line(size_t done) const;

  const std::string label_;
  const std::string unit_;
  const size_t total_;
  const bool live_;  // stderr is a terminal.
  const Clock::time_point start_ = Clock::now();
  Clock::time_point last_shown_ = start_;
  size_t next_plain_;  // Plain lines: the count that the next one waits for.
  bool shown_ = false;
};

}  // namespace shoal::apps
