#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "report/chart.h"
#include "report/frame.h"

namespace shoal::bench::report {
namespace {

// Beyond this many points a line has no markers: they would hide it.
constexpr size_t kMostMarkers = 40;
constexpr double kLabelGap = 26;  // From the area to the labels: room for the leaders.

struct Extent {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void Add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

Scale ScaleOf(const Axis& axis, Extent extent) {
  if (axis.at_most) extent.low = std::min(extent.low, *axis.at_most);
  if (axis.at_least) extent.high = std::max(extent.high, *axis.at_least);
  if (extent.low > extent.high) extent = {1, 2};  // No data: any axis will do.
  return Scale(axis.scale, extent.low, extent.high);
}

Scale XScale(const LineChart& chart) {
  Extent extent;
  for (const Series& series : chart.series) {
    for (const DataPoint& p : series.points) extent.Add(p.x);
  }
  return ScaleOf(chart.x, extent);
}

Scale YScale(const LineChart& chart) {
  Extent extent;
  for (const Series& series : chart.series) {
    for (const DataPoint& p : series.points) {
      extent.Add(p.y);
      extent.Add(p.least.value_or(p.y));
      extent.Add(p.most.value_or(p.y));
    }
  }
  return ScaleOf(chart.y, extent);
}

Area AreaOf(const LineChart& chart, const Scale& y, Layout layout) {
  Area area{};
  area.width = layout == Layout::kWide ? 760 : 360;
  area.height = layout == Layout::kWide ? 420 : 320;
  area.top = 30;
  area.bottom = area.height - 2 * kLineHeight - 14;
  area.left = YLabelsWidth(y, chart.y, area.bottom - area.top);
  // The last number of the x axis stands half beyond the area.
  area.right = area.width - 22;
  if (layout == Layout::kWide) {
    double widest = 0;
    for (const Series& s : chart.series) widest = std::max(widest, TextWidth(Shortened(s.name)));
    area.right = area.width - widest - kLabelGap - 4;
  }
  return area;
}

void DrawSeries(Markup& svg, const Series& series, const Area& area, const Scale& x,
                const Scale& y) {
  svg.Open("g", {{"class", fmt::format("series {}", ClassesOf(series.style))}});
  std::string path;
  for (const DataPoint& p : series.points) {
    path += fmt::format("{}{} {}", path.empty() ? "M" : "L", Px(area.X(x.At(p.x))),
                        Px(area.Y(y.At(p.y))));
  }
  if (!path.empty()) svg.Leaf("path", {{"class", "line"}, {"d", path}});
  for (const DataPoint& p : series.points) {
    if (!p.least || !p.most) continue;
    svg.Leaf("path", {{"class", "whisker"},
                      {"d", fmt::format("M{} {}V{}", Px(area.X(x.At(p.x))),
                                        Px(area.Y(y.At(*p.least))), Px(area.Y(y.At(*p.most))))}});
  }
  if (series.points.size() <= kMostMarkers) {
    for (const DataPoint& p : series.points) {
      svg.Append(MarkerAt(series.style, area.X(x.At(p.x)), area.Y(y.At(p.y)), p.title));
    }
  }
  svg.Close();
}

// Each line's name in its colour, beside its end, joined to it by a thin line.
void DrawLabels(Markup& svg, const LineChart& chart, const Area& area, const Scale& x,
                const Scale& y) {
  std::vector<const Series*> named;
  std::vector<double> ends;
  for (const Series& s : chart.series) {
    if (s.points.empty()) continue;
    named.push_back(&s);
    ends.push_back(area.Y(y.At(s.points.back().y)));
  }
  const std::vector<double> places = SpreadLabels(ends, kLineHeight, area.top + 2, area.bottom - 2);
  for (size_t i = 0; i < named.size(); ++i) {
    svg.Open("g", {{"class", ClassesOf(named[i]->style)}});
    const double from = area.X(x.At(named[i]->points.back().x)) + 6;
    const double to = area.right + kLabelGap - 5;
    svg.Leaf("path", {{"class", "leader"},
                      {"d", fmt::format("M{} {}L{} {}L{} {}", Px(from), Px(ends[i]),
                                        Px(std::max(from, area.right + 4)), Px(ends[i]), Px(to),
                                        Px(places[i]))}});
    svg.Element("text", {{"class", "name"}, {"x", Px(to + 4)}, {"y", Px(places[i] + 4)}},
                Shortened(named[i]->name));
    svg.Close();
  }
}

}  // namespace

std::vector<double> SpreadLabels(const std::vector<double>& wanted, double gap, double low,
                                 double high) {
  std::vector<size_t> order(wanted.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return wanted[a] < wanted[b]; });
  // More than there is room for: closer together.
  if (wanted.size() > 1) gap = std::min(gap, (high - low) / static_cast<double>(wanted.size() - 1));

  // Neighbours that are too close form a block around the mean of what they want; blocks that meet
  // become one.
  struct Block {
    double sum;  // Of what each member wants for the block's first.
    double count;
    double first;  // Where it stands.
  };
  std::vector<Block> blocks;
  const auto settle = [&](Block& b) {
    b.first = std::clamp(b.sum / b.count, low, std::max(low, high - (b.count - 1) * gap));
  };
  for (const size_t i : order) {
    blocks.push_back({wanted[i], 1, 0});
    settle(blocks.back());
    while (blocks.size() > 1) {
      Block& before = blocks[blocks.size() - 2];
      const Block& last = blocks.back();
      if (before.first + before.count * gap <= last.first + 1e-9) break;
      before.sum += last.sum - last.count * before.count * gap;
      before.count += last.count;
      settle(before);
      blocks.pop_back();
    }
  }
  std::vector<double> places(wanted.size());
  size_t next = 0;
  for (const Block& block : blocks) {
    for (size_t i = 0; i < static_cast<size_t>(block.count); ++i) {
      places[order[next++]] = block.first + static_cast<double>(i) * gap;
    }
  }
  return places;
}

std::vector<DataPoint> Thinned(const std::vector<DataPoint>& points, size_t limit) {
  if (points.size() <= limit || limit < 4) return points;
  const size_t stretches = limit / 2;
  std::vector<DataPoint> kept;
  for (size_t i = 0; i < stretches; ++i) {
    const auto begin = points.begin() + static_cast<ptrdiff_t>(i * points.size() / stretches);
    const auto end = points.begin() + static_cast<ptrdiff_t>((i + 1) * points.size() / stretches);
    auto [least, most] = std::minmax_element(
        begin, end, [](const DataPoint& a, const DataPoint& b) { return a.y < b.y; });
    if (most < least) std::swap(least, most);
    kept.push_back(*least);
    if (most != least) kept.push_back(*most);
  }
  return kept;
}

std::string Draw(const LineChart& chart, Layout layout, const std::string& label) {
  const Scale x = XScale(chart);
  const Scale y = YScale(chart);
  const Area area = AreaOf(chart, y, layout);
  Markup svg;
  OpenSvg(svg, area, layout, label);
  DrawYAxis(svg, area, y, chart.y);
  DrawXAxis(svg, area, x, chart.x);
  if (layout == Layout::kWide) DrawLabels(svg, chart, area, x, y);
  // The first series is the one that the report is about: on top.
  for (auto s = chart.series.rbegin(); s != chart.series.rend(); ++s) {
    DrawSeries(svg, *s, area, x, y);
  }
  return svg.Take();
}

std::string LegendOf(const LineChart& chart) {
  Markup html;
  html.Open("ul", {{"class", "legend"}});
  for (const Series& s : chart.series) {
    html.Open("li").Append(Swatch(s.style)).Element("span", {}, s.name).Close();
  }
  return html.Take();
}

}  // namespace shoal::bench::report
