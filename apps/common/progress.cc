#include "apps/common/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace shoal::apps {
namespace {

constexpr auto kRefresh = std::chrono::milliseconds(200);  // Of the live line.
constexpr double kQuietSeconds = 2;  // Work that ends before that prints no plain line.

std::string Duration(double seconds) {
  const auto s = static_cast<uint64_t>(seconds + 0.5);
  if (s < 100) return fmt::format("{} s", s);
  if (s < 6000) return fmt::format("{} min {} s", s / 60, s % 60);
  return fmt::format("{} h {} min", s / 3600, s % 3600 / 60);
}

}  // namespace

Progress::Progress(std::string label, std::string unit, size_t total)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(std::max<size_t>(total, 1)),
      live_(isatty(STDERR_FILENO) == 1),
      next_plain_(std::max<size_t>(total_ / 10, 1)) {}

Progress::~Progress() {
  if (live_ && shown_) fmt::print(stderr, "\n");
}

double Progress::Seconds() const {
  return std::chrono::duration<double>(Clock::now() - start_).count();
}

std::string Progress::Line(size_t done) const {
  const double seconds = Seconds();
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  std::string line =
      fmt::format("{}: {} % of {} {}, {:.0f}/s", label_, done * 100 / total_, total_, unit_, rate);
  if (done < total_ && rate > 0) {
    line += fmt::format(", {} left", Duration(static_cast<double>(total_ - done) / rate));
  } else {
    line += fmt::format(", {}", Duration(seconds));
  }
  return line;
}

void Progress::Update(size_t done) {
  done = std::min(done, total_);
  if (live_) {
    const auto now = Clock::now();
    if (done < total_ && now - last_shown_ < kRefresh) return;
    last_shown_ = now;
    shown_ = true;
    fmt::print(stderr, "\r{}\033[K", Line(done));  // \033[K: clear what was longer before.
    return;
  }
  if (done < next_plain_) return;
  while (next_plain_ <= done) next_plain_ += std::max<size_t>(total_ / 10, 1);
  if (Seconds() < kQuietSeconds) return;
  fmt::print(stderr, "{}\n", Line(done));
}

}  // namespace shoal::apps
