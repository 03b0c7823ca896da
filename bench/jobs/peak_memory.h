// How much memory this process takes while something runs.
#pragma once

#include <fstream>
#include <string>

namespace shoal::bench {

// Begins with its construction; one at a time.
class PeakMemory {
 public:
  PeakMemory() : before_mb_(StatusMb("VmRSS:")) {
    std::ofstream("/proc/self/clear_refs") << "5";  // VmHWM starts again from here.
  }
  double before_mb() const { return before_mb_; }         // Resident at the beginning.
  static double most_mb() { return StatusMb("VmHWM:"); }  // Resident at most since then.

 private:
  static double StatusMb(const std::string& key) {
    std::ifstream lines("/proc/self/status");
    for (std::string line; std::getline(lines, line);)
      if (line.starts_with(key)) return std::stod(line.substr(key.size())) / 1024;
    return 0;
  }
  const double before_mb_;
};

}  // namespace shoal::bench
