#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "report/chart.h"
#include "report/frame.h"

namespace shoal::bench::report {
namespace {

constexpr double kBarHeight = 18;
constexpr double kBarGap = 12;

double Total(const Bar& bar) {
  return std::accumulate(bar.parts.begin(), bar.parts.end(), 0.0,
                         [](double sum, const BarPart& part) { return sum + part.value; });
}

double WidestText(const std::vector<Bar>& bars, std::string Bar::*text) {
  double widest = 0;
  for (const Bar& bar : bars) widest = std::max(widest, TextWidth(Shortened(bar.*text)));
  return widest;
}

// Where the bars stand: names are beside them on wide pages, above them on narrow ones.
struct Rows {
  double first;  // Upper edge of the first bar.
  double step;
};

void DrawBar(Markup& svg, const Bar& bar, const Area& area, const Scale& x, double top) {
  svg.Open("g", {{"class", fmt::format("bar {}", ClassesOf(bar.style))}});
  svg.Leaf("rect", {{"class", "back"},
                    {"x", Px(area.left)},
                    {"y", Px(top)},
                    {"width", Px(area.X(x.At(Total(bar))) - area.left)},
                    {"height", Px(kBarHeight)}});
  double sum = 0;
  for (const BarPart& part : bar.parts) {
    const double from = area.X(x.At(sum));
    const double to = area.X(x.At(sum += part.value));
    svg.Open("rect", {{"class", "part"},
                      {"x", Px(from)},
                      {"y", Px(top)},
                      {"width", Px(to - from)},
                      {"height", Px(kBarHeight)}});
    svg.Element("title", {}, fmt::format("{}: {} {}", bar.name, part.name, part.value)).Close();
  }
  svg.Element(
      "text",
      {{"class", "value"}, {"x", Px(area.X(x.At(sum)) + 6)}, {"y", Px(top + kBarHeight - 5)}},
      bar.value);
  svg.Close();
}

}  // namespace

std::string Draw(const BarChart& chart, Layout layout, const std::string& label) {
  double most = 0;
  for (const Bar& bar : chart.bars) most = std::max(most, Total(bar));
  const Scale x(ScaleKind::kLinear, 0, most > 0 ? most : 1);

  Area area{};
  const double names = WidestText(chart.bars, &Bar::name);
  const double rows = static_cast<double>(chart.bars.size());
  const Rows place = layout == Layout::kWide
                         ? Rows{.first = 8, .step = kBarHeight + kBarGap}
                         : Rows{.first = 22, .step = kBarHeight + kLineHeight + kBarGap};
  area.width = layout == Layout::kWide ? 760 : 360;
  area.left = layout == Layout::kWide ? names + 12 : 4;
  // Room behind the longest bar for what is written there.
  area.right = area.width - std::max(22.0, WidestText(chart.bars, &Bar::value) + 8);
  area.top = 2;
  area.bottom = place.first + rows * place.step - kBarGap / 2;
  area.height = area.bottom + 2 * kLineHeight + 12;

  Markup svg;
  OpenSvg(svg, area, layout, label);
  DrawXAxis(svg, area, x, chart.x);
  double top = place.first;
  for (const Bar& bar : chart.bars) {
    DrawBar(svg, bar, area, x, top);
    if (layout == Layout::kWide) {
      svg.Element("text",
                  {{"class", "name"},
                   {"x", Px(area.left - 8)},
                   {"y", Px(top + kBarHeight - 5)},
                   {"text-anchor", "end"}},
                  Shortened(bar.name));
    } else {
      svg.Element("text", {{"class", "name"}, {"x", Px(area.left)}, {"y", Px(top - 5)}},
                  Shortened(bar.name));
    }
    top += place.step;
  }
  return svg.Take();
}

}  // namespace shoal::bench::report
