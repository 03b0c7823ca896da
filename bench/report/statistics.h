// From samples to statements: speed at a recall, ratios and how sure they are.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "report/results.h"

namespace shoal::bench::report {

// The recalls that tables are made for.
inline constexpr double kRecalls[] = {0.90, 0.95, 0.99};

// The middle one, or the mean of the two middle ones. `values`: not empty.
double Median(std::vector<double> values);

// Speed at a recall on a line through (recall, speed), log(speed) linear between neighbours. None
// where the line, which need not be sorted, does not reach: nothing is extrapolated.
std::optional<double> SpeedAt(std::vector<std::pair<double, double>> line, double recall);
// Of the medians of a curve's samples.
std::optional<double> MedianSpeedAt(const Curve& curve, double recall);
// One for each round, from the samples of that round alone; empty where it does not reach.
std::vector<double> SpeedsAt(const Curve& curve, double recall);

enum class Pairing {
  // Sample i of one side was taken right before or after sample i of the other: what slowed the
  // machine down slowed down both, and only their ratio counts.
  kPaired,
  kUnpaired,
};

// How many times `above` is `below`.
struct Ratio {
  double value = 1;  // kPaired: median of the ratios; kUnpaired: ratio of the medians.
  // Ends of the 95 % interval; none with fewer than two samples a side.
  std::optional<double> low, high;

  // The whole interval is on one side of 1.
  bool differs() const { return low && high && (*low > 1 || *high < 1); }
};

// Bootstrap: the samples are drawn anew, with repetition, 2000 times; the interval leaves out the
// 2.5 % at either end. Always the same for the same samples. Samples are > 0, not empty.
Ratio RatioOf(std::span<const double> above, std::span<const double> below, Pairing pairing);

// "1.51 (1.47–1.55)"
std::string Text(const Ratio& ratio);

}  // namespace shoal::bench::report
