#include "report/scale.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <utility>

namespace shoal::bench::report {
namespace {

// Nearer to 1 than this is drawn as 1: where the stretched axis has to end somewhere.
constexpr double kNearestToOne = 2e-4;

// Round recalls, the roundest first.
constexpr std::array kRoundRecalls = {0.0,   0.5, 0.9, 0.99,  0.999, 1.0, 0.95, 0.98,
                                      0.995, 0.8, 0.7, 0.998, 0.6,   0.3, 0.97, 0.85};

double RecallPosition(double recall) { return -std::log10(std::max(1 - recall, kNearestToOne)); }
double RecallAt(double position) { return 1 - std::pow(10.0, -position); }

// The largest of 1, 2, 5 times a power of ten that is <= value.
double RoundDown(double value) {
  const double power = std::pow(10.0, std::floor(std::log10(value)));
  for (const double factor : {5.0, 2.0}) {
    if (factor * power <= value * (1 + 1e-9)) return factor * power;
  }
  return power;
}

double RoundUp(double value) {
  const double down = RoundDown(value);
  if (down >= value * (1 - 1e-9)) return down;
  const double power = std::pow(10.0, std::floor(std::log10(down * (1 + 1e-9))));
  return down < 1.5 * power ? 2 * power : down < 3 * power ? 5 * power : 10 * power;
}

// Digits with commas; as many decimals as needed up to `decimals`.
std::string Trimmed(double value, int decimals) {
  std::string text = fmt::format("{:.{}f}", value, decimals);
  if (text.find('.') != std::string::npos) {
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
  }
  const size_t end = std::min(text.find('.'), text.size());
  for (size_t i = end; i > 3 + (value < 0 ? 1 : 0);) text.insert(i -= 3, 1, ',');
  return text == "-0" ? "0" : text;
}

// Three significant digits, more where the whole part has more.
std::string Significant(double value) {
  const double size = std::abs(value);
  if (size == 0) return "0";
  const int magnitude = static_cast<int>(std::floor(std::log10(size)));
  return Trimmed(value, std::clamp(2 - magnitude, 0, 6));
}

// 0.98, 0.985, 0.99 is hard to read: 0.980, 0.985, 0.990. Units stand behind a blank and are left
// alone, as they may differ.
void EqualDecimals(std::vector<Tick>& ticks) {
  const auto decimals = [](const std::string& label) {
    const size_t point = label.find('.');
    return point == std::string::npos ? 0 : label.size() - point - 1;
  };
  size_t most = 0;
  for (const Tick& tick : ticks) {
    if (tick.label.find_first_not_of("-0123456789.,") != std::string::npos) return;
    most = std::max(most, decimals(tick.label));
  }
  for (Tick& tick : ticks) {
    if (most > 0 && decimals(tick.label) == 0) tick.label += '.';
    tick.label.append(most - decimals(tick.label), '0');
  }
}

struct Suffix {
  double factor;
  std::string_view text;
};

// `step`: neighbours on an axis differ by that much, and are to be told apart; 0: three digits do.
std::string WithSuffix(double value, double step, const std::vector<Suffix>& suffixes) {
  if (value == 0) return "0";
  const Suffix* best = &suffixes.back();
  for (const Suffix& suffix : suffixes) {
    if (std::abs(value) >= suffix.factor * (1 - 1e-9)) {
      best = &suffix;
      break;
    }
  }
  value /= best->factor;
  step /= best->factor;
  const int decimals = step > 0 ? static_cast<int>(std::ceil(-std::log10(step) - 1e-9)) : 0;
  return fmt::format("{}{}",
                     step > 0 ? Trimmed(value, std::clamp(decimals, 0, 9)) : Significant(value),
                     best->text);
}

const std::vector<Suffix>& SuffixesOf(Unit unit) {
  static const std::vector<Suffix> kPlain = {{1, ""}};
  static const std::vector<Suffix> kBytes = {
      {1e12, " TB"}, {1e9, " GB"}, {1e6, " MB"}, {1e3, " kB"}, {1, " B"}};
  static const std::vector<Suffix> kMicroseconds = {{1e6, " s"}, {1e3, " ms"}, {1, " \u00b5s"}};
  switch (unit) {
    case Unit::kBytes: return kBytes;
    case Unit::kMicroseconds: return kMicroseconds;
    case Unit::kNumber: break;
  }
  return kPlain;
}

}  // namespace

std::string Number(double value, Unit unit) { return WithSuffix(value, 0, SuffixesOf(unit)); }

std::string TickLabel(double value, Unit unit, double step) {
  static const std::vector<Suffix> kThousands = {{1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
  const bool thousands = unit == Unit::kNumber && std::abs(value) >= 1e4;
  return WithSuffix(value, step, thousands ? kThousands : SuffixesOf(unit));
}

Scale::Scale(ScaleKind kind, double low, double high) : kind_(kind), low_(low), high_(high) {
  switch (kind) {
    case ScaleKind::kLog:
      low_ = RoundDown(low);
      high_ = RoundUp(high);
      if (high_ <= low_ * (1 + 1e-9)) high_ = RoundUp(low_ * 1.5);
      break;
    case ScaleKind::kRecall: WidenRecall(); break;
    case ScaleKind::kTime:
      if (high_ <= low_) high_ = low_ + 1;
      break;
    case ScaleKind::kLinear: {
      if (high <= low) {
        const double margin = low == 0 ? 1 : std::abs(low) * 0.01;
        low_ -= margin;
        high_ += margin;
      }
      const double step = RoundUp((high_ - low_) / 8);
      low_ = std::floor(low_ / step + 1e-9) * step;
      high_ = std::ceil(high_ / step - 1e-9) * step;
      break;
    }
  }
}

// A twentieth at either end, so that no marker stands on the frame; more where fewer than two round
// numbers would be inside.
void Scale::WidenRecall() {
  const double begin = RecallPosition(low_), end = RecallPosition(high_);
  const double margin = std::max((end - begin) / 20, 0.02);
  const auto inside = [&] {
    return std::count_if(kRoundRecalls.begin(), kRoundRecalls.end(),
                         [&](double recall) { return recall >= low_ && recall <= high_; });
  };
  for (int i = 1; i == 1 || (inside() < 2 && i < 100); ++i) {
    low_ = std::max(0.0, RecallAt(begin - i * margin));
    high_ = end + i * margin >= RecallPosition(1) ? 1 : RecallAt(end + i * margin);
  }
}

double Scale::Position(double value) const {
  switch (kind_) {
    case ScaleKind::kLog: return std::log10(std::max(value, low_));
    case ScaleKind::kRecall: return RecallPosition(value);
    case ScaleKind::kTime:
    case ScaleKind::kLinear: break;
  }
  return value;
}

double Scale::At(double value) const {
  const double begin = Position(low_);
  return std::clamp((Position(value) - begin) / (Position(high_) - begin), 0.0, 1.0);
}

std::vector<double> Scale::RoundValues(double gap) const {
  if (kind_ == ScaleKind::kRecall) return {kRoundRecalls.begin(), kRoundRecalls.end()};
  std::vector<double> values;
  if (kind_ == ScaleKind::kLog) {
    for (const double factor : {1.0, 5.0, 2.0}) {
      for (double power = std::pow(10.0, std::floor(std::log10(low_))); power <= high_ * 1.01;
           power *= 10) {
        values.push_back(factor * power);
      }
    }
    return values;
  }
  const double step = Step(gap);
  const auto first = static_cast<long long>(std::ceil(low_ / step - 1e-9));
  const auto last = static_cast<long long>(std::floor(high_ / step + 1e-9));
  for (long long i = first; i <= last; ++i) values.push_back(static_cast<double>(i) * step);
  return values;
}

double Scale::Step(double gap) const {
  const bool even = kind_ == ScaleKind::kLinear || kind_ == ScaleKind::kTime;
  return even ? RoundUp((high_ - low_) * gap) : 0;
}

std::vector<Tick> Scale::Ticks(double gap, Unit unit) const {
  const double step = Step(gap);
  const double inside = (high_ - low_) * 1e-9;
  std::vector<Tick> ticks;
  for (const double value : RoundValues(gap)) {
    if (value < low_ - inside || value > high_ + inside) continue;
    const double at = At(value);
    const bool free = std::all_of(ticks.begin(), ticks.end(), [&](const Tick& tick) {
      return std::abs(tick.at - at) >= gap * 0.999;
    });
    if (free) ticks.push_back({at, TickLabel(value, unit, step)});
  }
  std::sort(ticks.begin(), ticks.end(), [](const Tick& a, const Tick& b) { return a.at < b.at; });
  if (step > 0) EqualDecimals(ticks);
  return ticks;
}

}  // namespace shoal::bench::report
