// A timing that knows whether it can be trusted: what others took of the machine meanwhile.
//
//   Timing timing(context, "build on 2 threads");
//   ...
//   const double seconds = timing.Stop().seconds;   // Warns if others were busy.
#pragma once

#include <chrono>
#include <string>

#include "runner/job.h"

namespace shoal::bench {

// Others' share of the machine, and the hypervisor's, above which a figure gets a warning.
inline constexpr double kMaxForeignShare = 0.05;
// The kernel counts in ticks of 10 ms: over less than this their shares mean nothing.
inline constexpr double kMinSecondsToJudge = 0.2;

// CPU seconds since boot over all CPUs, and of this process and its reaped children.
struct CpuTimes {
  double busy = 0;    // All processes, without `stolen`.
  double stolen = 0;  // The hypervisor gave it to other machines.
  double own = 0;

  static CpuTimes Now();
};

// CPUs of the machine that are online, at least 1.
double MachineCores();

// What a stretch of time was like.
struct Stretch {
  double seconds = 0;       // By the clock on the wall.
  double cpu_seconds = 0;   // Of this process.
  double others_cores = 0;  // Cores that other processes kept busy, on average.
  double stolen = 0;        // Share of the machine that the hypervisor took, 0 to 1.

  // Empty, or why figures of this stretch are doubtful. `cores`: of the machine.
  std::string Doubt(std::string_view what, double cores) const;
};

// Runs from its making on. Used by one thread.
class Stopwatch {
 public:
  Stopwatch() : begin_(CpuTimes::Now()), start_(Clock::now()) {}
  Stretch Read() const;

 private:
  using Clock = std::chrono::steady_clock;
  CpuTimes begin_;
  Clock::time_point start_;
};

// A stopwatch that warns the reader of the results.
class Timing {
 public:
  // `what`: names the figure in a warning. `context` must outlive it.
  Timing(const JobContext& context, std::string what) : context_(context), what_(std::move(what)) {}
  Stretch Stop() const;

 private:
  const JobContext& context_;
  const std::string what_;
  const Stopwatch watch_;
};

}  // namespace shoal::bench
