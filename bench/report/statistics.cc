#include "report/statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace shoal::bench::report {
namespace {

constexpr size_t kResamples = 2000;
// Any will do, as long as it stays: a report of the same files is the same report.
constexpr uint64_t kSeed = 20260101;

// Numbers below `n`. (std::uniform_int_distribution differs between standard libraries.)
class Draw {
 public:
  size_t operator()(size_t n) { return static_cast<size_t>(engine_() % n); }

 private:
  std::mt19937_64 engine_{kSeed};
};

std::vector<double> Quotients(std::span<const double> above, std::span<const double> below) {
  std::vector<double> quotients;
  const size_t n = std::min(above.size(), below.size());
  for (size_t i = 0; i < n; ++i) quotients.push_back(above[i] / below[i]);
  return quotients;
}

double MedianOfDrawn(std::span<const double> samples, Draw& draw, std::vector<double>& scratch) {
  scratch.clear();
  for (size_t i = 0; i < samples.size(); ++i) scratch.push_back(samples[draw(samples.size())]);
  return Median(scratch);
}

}  // namespace

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

std::optional<double> SpeedAt(std::vector<std::pair<double, double>> line, double recall) {
  std::sort(line.begin(), line.end());
  if (line.empty() || recall < line.front().first || recall > line.back().first) return {};
  for (size_t i = 0; i + 1 < line.size(); ++i) {
    const auto [r0, v0] = line[i];
    const auto [r1, v1] = line[i + 1];
    if (recall > r1) continue;
    const double share = r1 > r0 ? (recall - r0) / (r1 - r0) : 1;
    return std::exp((1 - share) * std::log(v0) + share * std::log(v1));
  }
  return line.front().second;
}

std::optional<double> MedianSpeedAt(const Curve& curve, double recall) {
  std::vector<std::pair<double, double>> line;
  for (const CurvePoint& p : curve.points) {
    if (!p.qps.empty()) line.emplace_back(p.recall, Median(p.qps));
  }
  return SpeedAt(std::move(line), recall);
}

std::vector<double> SpeedsAt(const Curve& curve, double recall) {
  size_t rounds = SIZE_MAX;
  for (const CurvePoint& p : curve.points) {
    if (!p.qps.empty()) rounds = std::min(rounds, p.qps.size());
  }
  std::vector<double> speeds;
  for (size_t round = 0; rounds != SIZE_MAX && round < rounds; ++round) {
    std::vector<std::pair<double, double>> line;
    for (const CurvePoint& p : curve.points) {
      if (!p.qps.empty()) line.emplace_back(p.recall, p.qps[round]);
    }
    const std::optional<double> speed = SpeedAt(std::move(line), recall);
    if (!speed) return {};
    speeds.push_back(*speed);
  }
  return speeds;
}

Ratio RatioOf(std::span<const double> above, std::span<const double> below, Pairing pairing) {
  const bool paired = pairing == Pairing::kPaired;
  const std::vector<double> quotients = Quotients(above, below);
  Ratio ratio;
  ratio.value = paired
                    ? Median(quotients)
                    : Median({above.begin(), above.end()}) / Median({below.begin(), below.end()});
  if (quotients.size() < 2) return ratio;

  Draw draw;
  std::vector<double> scratch, drawn;
  for (size_t i = 0; i < kResamples; ++i) {
    drawn.push_back(paired ? MedianOfDrawn(quotients, draw, scratch)
                           : MedianOfDrawn(above, draw, scratch) /
                                 MedianOfDrawn(below, draw, scratch));
  }
  std::sort(drawn.begin(), drawn.end());
  ratio.low = drawn[kResamples * 25 / 1000];
  ratio.high = drawn[kResamples * 975 / 1000 - 1];
  return ratio;
}

std::string Text(const Ratio& ratio) {
  if (!ratio.low) return fmt::format("{:.2f}", ratio.value);
  return fmt::format("{:.2f} ({:.2f}–{:.2f})", ratio.value, *ratio.low, *ratio.high);
}

}  // namespace shoal::bench::report
