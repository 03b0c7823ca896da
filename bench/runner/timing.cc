#include "runner/timing.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string_view>

namespace shoal::bench {
namespace {

double OwnCpuSeconds(int who) {
  rusage usage{};
  getrusage(who, &usage);
  const auto seconds = [](timeval t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

double MachineCores() { return static_cast<double>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN))); }

CpuTimes CpuTimes::Now() {
  // "cpu  user nice system idle iowait irq softirq steal guest guest_nice": ticks of all CPUs.
  // Guests are in user and nice already.
  std::ifstream stat("/proc/stat");
  std::string cpu;
  double user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0;
  stat >> cpu >> user >> nice >> system >> idle >> iowait >> irq >> softirq >> steal;
  const auto tick = static_cast<double>(sysconf(_SC_CLK_TCK));
  return {.busy = (user + nice + system + irq + softirq) / tick,
          .stolen = steal / tick,
          .own = OwnCpuSeconds(RUSAGE_SELF) + OwnCpuSeconds(RUSAGE_CHILDREN)};
}

std::string Stretch::Doubt(std::string_view what, double cores) const {
  if (seconds < kMinSecondsToJudge) return "";
  std::string doubt;
  if (others_cores > kMaxForeignShare * cores)
    doubt = fmt::format("others kept {:.2f} of {} cores busy", others_cores, cores);
  if (stolen > kMaxForeignShare)
    doubt += fmt::format("{}the hypervisor took {:.0f} % of the time", doubt.empty() ? "" : ", ",
                         100 * stolen);
  return doubt.empty() ? "" : fmt::format("{}: {}", what, doubt);
}

Stretch Stopwatch::Read() const {
  const CpuTimes now = CpuTimes::Now();
  Stretch stretch;
  stretch.seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  stretch.cpu_seconds = now.own - begin_.own;
  const double elapsed = std::max(stretch.seconds, 1e-9);
  stretch.others_cores = std::max(0.0, (now.busy - begin_.busy - stretch.cpu_seconds) / elapsed);
  stretch.stolen = std::clamp((now.stolen - begin_.stolen) / (elapsed * MachineCores()), 0.0, 1.0);
  return stretch;
}

Stretch Timing::Stop() const {
  const Stretch stretch = watch_.Read();
  if (const std::string doubt = stretch.Doubt(what_, MachineCores()); !doubt.empty())
    context_.warn(doubt);
  return stretch;
}

}  // namespace shoal::bench
