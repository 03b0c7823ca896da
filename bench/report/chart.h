// A plot as data, and as SVG. Each is drawn twice, for wide pages and for phones, because text that
// shrinks with its picture cannot be read; CSS shows the one that fits.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "report/scale.h"
#include "report/style.h"

namespace shoal::bench::report {

struct Axis {
  std::string title = {};  // With its unit.
  ScaleKind scale = ScaleKind::kLinear;
  Unit unit = Unit::kNumber;
  // Values that the axis shall span whatever the data are.
  std::optional<double> at_most = {}, at_least = {};
};

struct DataPoint {
  double x = 0;
  double y = 0;
  // A whisker from least to most, where there are samples.
  std::optional<double> least = {}, most = {};
  std::string title = {};  // Shown where a pointer rests on it.
};

struct Series {
  std::string name;
  Style style;
  std::vector<DataPoint> points = {};  // In the order in which the line visits them.
};

struct LineChart {
  Axis x, y;
  std::vector<Series> series = {};
};

// A horizontal bar, of one or more parts that follow each other.
struct BarPart {
  std::string name;
  double value = 0;
};
struct Bar {
  std::string name;
  Style style;
  std::vector<BarPart> parts;
  std::string value;  // Written behind the bar.
};
struct BarChart {
  Axis x;
  std::vector<Bar> bars = {};
};

enum class Layout { kWide, kNarrow };

// An <svg> with classes of page_style.h. `label` says what is to be seen, for those who cannot.
// Wide line charts name their lines at the lines' ends; narrow ones need LegendOf beside them.
std::string Draw(const LineChart& chart, Layout layout, const std::string& label);
std::string Draw(const BarChart& chart, Layout layout, const std::string& label);

// The series' names and looks as an HTML list.
std::string LegendOf(const LineChart& chart);

// Of at most `limit` points: of each stretch of a longer line the lowest and the highest, so that
// no peak is lost.
std::vector<DataPoint> Thinned(const std::vector<DataPoint>& points, size_t limit);

// Where labels that want to stand at `wanted` stand when they need `gap` each and have [low, high].
std::vector<double> SpreadLabels(const std::vector<double>& wanted, double gap, double low,
                                 double high);

}  // namespace shoal::bench::report
