#include "report/frame.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace shoal::bench::report {
namespace {

// Room that a number beside an axis needs: along a horizontal axis, along a vertical one.
constexpr double kXGap = 52;
constexpr double kYGap = 34;

// Most characters of a name in a plot.
constexpr size_t kLongestName = 30;

bool BeginsCharacter(char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }

}  // namespace

std::string Shortened(std::string_view name) {
  std::vector<size_t> begins;
  for (size_t i = 0; i < name.size(); ++i) {
    if (BeginsCharacter(name[i])) begins.push_back(i);
  }
  if (begins.size() <= kLongestName) return std::string(name);
  const std::string_view head = name.substr(0, begins[kLongestName / 2]);
  const std::string_view tail = name.substr(begins[begins.size() - kLongestName / 2 + 1]);
  return fmt::format("{}\u2026{}", head, tail);
}

double TextWidth(std::string_view text) {
  size_t characters = 0;
  for (const char c : text) characters += BeginsCharacter(c) ? 1 : 0;
  return 7.1 * static_cast<double>(characters);
}

void OpenSvg(Markup& svg, const Area& area, Layout layout, const std::string& label) {
  svg.Open("svg", {{"xmlns", "http://www.w3.org/2000/svg"},
                   {"class", layout == Layout::kWide ? "plot wide" : "plot narrow"},
                   {"viewBox", fmt::format("0 0 {:.0f} {:.0f}", area.width, area.height)},
                   {"role", "img"},
                   {"aria-label", label}});
}

void DrawXAxis(Markup& svg, const Area& area, const Scale& scale, const Axis& axis) {
  for (const Tick& tick : scale.Ticks(kXGap / (area.right - area.left), axis.unit)) {
    const std::string x = Px(area.X(tick.at));
    svg.Leaf("path", {{"class", "grid"},
                      {"d", fmt::format("M{} {}V{}", x, Px(area.top), Px(area.bottom))}});
    svg.Element("text",
                {{"class", "tick"},
                 {"x", x},
                 {"y", Px(area.bottom + kLineHeight + 1)},
                 {"text-anchor", "middle"}},
                tick.label);
  }
  svg.Leaf("path",
           {{"class", "axis"},
            {"d", fmt::format("M{} {}H{}", Px(area.left), Px(area.bottom), Px(area.right))}});
  svg.Element("text",
              {{"class", "title"},
               {"x", Px((area.left + area.right) / 2)},
               {"y", Px(area.bottom + 2 * kLineHeight + 5)},
               {"text-anchor", "middle"}},
              axis.title);
}

void DrawYAxis(Markup& svg, const Area& area, const Scale& scale, const Axis& axis) {
  for (const Tick& tick : scale.Ticks(kYGap / (area.bottom - area.top), axis.unit)) {
    const double y = area.Y(tick.at);
    svg.Leaf("path", {{"class", "grid"},
                      {"d", fmt::format("M{} {}H{}", Px(area.left), Px(y), Px(area.right))}});
    svg.Element(
        "text",
        {{"class", "tick"}, {"x", Px(area.left - 7)}, {"y", Px(y + 4)}, {"text-anchor", "end"}},
        tick.label);
  }
  // Above the axis and not beside it: nobody turns a phone to read it.
  svg.Element("text", {{"class", "title"}, {"x", "2"}, {"y", "13"}}, axis.title);
}

double YLabelsWidth(const Scale& scale, const Axis& axis, double height) {
  double widest = 0;
  for (const Tick& tick : scale.Ticks(kYGap / height, axis.unit)) {
    widest = std::max(widest, TextWidth(tick.label));
  }
  return widest + 9;
}

}  // namespace shoal::bench::report
