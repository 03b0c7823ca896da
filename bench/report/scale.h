// Axes: which values they span, where a value stands, which round numbers are written beside them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace shoal::bench::report {

enum class ScaleKind {
  kLinear,
  // Equal factors take equal room. Values are > 0.
  kLog,
  // Recall, 0 to 1, with equal room for equal factors of what is missing to 1: 0.9, 0.99 and 0.999
  // are equally far apart. Otherwise everything that matters is in the last tenth.
  kRecall,
  // Linear, from the first value to the last and no further.
  kTime,
};

// What a number counts, for how it is written.
enum class Unit { kNumber, kBytes, kMicroseconds };

// A number as people write it: "12,500", "1.5 GB" (powers of ten), "250 µs", "2 ms".
std::string Number(double value, Unit unit);
// The same, short, for beside an axis: "20k". `step`: how far apart its neighbours are; 0: it has
// none that are near.
std::string TickLabel(double value, Unit unit, double step = 0);

struct Tick {
  double at = 0;  // 0 to 1, along the axis
  std::string label;
};

class Scale {
 public:
  // Spans [low, high] and a little more, so that it begins and ends at round numbers; low == high
  // is widened.
  Scale(ScaleKind kind, double low, double high);

  // 0 at the low end, 1 at the high end; values beyond stand at the ends.
  double At(double value) const;
  double low() const { return low_; }
  double high() const { return high_; }

  // Round numbers, at least `gap` (of the axis' length) apart; the rounder ones first when not all
  // have room. Rising.
  std::vector<Tick> Ticks(double gap, Unit unit) const;

 private:
  double Position(double value) const;
  void WidenRecall();
  // Between numbers beside the axis; 0: they are not evenly spaced.
  double Step(double gap) const;
  // What may be written beside the axis; the roundest first.
  std::vector<double> RoundValues(double gap) const;

  ScaleKind kind_;
  double low_;
  double high_;
};

}  // namespace shoal::bench::report
