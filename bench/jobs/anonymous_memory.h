// How much anonymous memory this process takes: not the pages of files, which the system's page
// cache holds and can take back.
#pragma once

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>

namespace shoal::bench {

// Now, in MB.
inline double ResidentAnonymousMb() {
  constexpr std::string_view kKey = "RssAnon:";
  std::ifstream lines("/proc/self/status");
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(kKey)) return std::stod(line.substr(kKey.size())) / 1024;
  return 0;
}

// Likewise, when what the allocator holds free has been given back.
inline double AnonymousMb() {
  malloc_trim(0);
  return ResidentAnonymousMb();
}

// The most from its construction to StopMb, beyond `before`, sampled all the time.
class AnonymousPeak {
 public:
  explicit AnonymousPeak(double before)
      : before_(before), sampler_([this](const std::stop_token& stop) {
          while (!stop.stop_requested()) {
            Look();
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
          }
        }) {}

  // Ends it.
  double StopMb() {
    sampler_.request_stop();
    sampler_.join();
    Look();
    return most_;
  }

 private:
  void Look() { most_ = std::max(most_, ResidentAnonymousMb() - before_); }

  const double before_;
  double most_ = 0;  // Of the sampler, until it is joined.
  std::jthread sampler_;
};

}  // namespace shoal::bench
