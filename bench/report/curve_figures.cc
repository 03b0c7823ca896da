#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "report/figures.h"
#include "report/statistics.h"

namespace shoal::bench::report {
namespace {

// "12,345"
std::string Whole(double value) { return Number(std::round(value), Unit::kNumber); }

std::string Threads(int threads) {
  return threads == 1 ? "1 thread" : fmt::format("{} threads", threads);
}

// "recall@10", where all curves agree in their k.
std::string RecallTitle(const Run& run) {
  const int k = run.curves.front().k;
  const bool same = std::all_of(run.curves.begin(), run.curves.end(),
                                [&](const Curve& c) { return c.k == k && k > 0; });
  return same ? fmt::format("recall@{} (stretched towards 1)", k) : "recall (stretched towards 1)";
}

std::vector<const Curve*> WithThreads(const Run& run, int threads) {
  std::vector<const Curve*> curves;
  for (const Curve& curve : run.curves) {
    const bool timed = std::any_of(curve.points.begin(), curve.points.end(),
                                   [](const CurvePoint& p) { return !p.qps.empty(); });
    if (curve.threads == threads && timed) curves.push_back(&curve);
  }
  return curves;
}

Series SpeedSeries(const Curve& curve, const Style& style) {
  Series series{curve.engine, style, {}};
  for (const CurvePoint& p : curve.points) {
    if (p.qps.empty()) continue;
    DataPoint point{.x = p.recall, .y = Median(p.qps)};
    if (p.qps.size() > 1) {
      point.least = *std::min_element(p.qps.begin(), p.qps.end());
      point.most = *std::max_element(p.qps.begin(), p.qps.end());
    }
    point.title = fmt::format("{}, L = {}: recall {:.4f}, {} queries a second", curve.engine,
                              p.list, p.recall, Number(point.y, Unit::kNumber));
    series.points.push_back(std::move(point));
  }
  return series;
}

std::vector<std::string> RecallHead(std::string first) {
  std::vector<std::string> head = {std::move(first)};
  for (const double recall : kRecalls) head.push_back(fmt::format("recall {:.2f}", recall));
  return head;
}

Table SpeedTable(const std::vector<const Curve*>& curves) {
  Table table{
      "Queries per second at equal recall (median of the rounds; between two list sizes "
      "log-linear):",
      RecallHead("engine"),
      {}};
  for (const Curve* curve : curves) {
    std::vector<std::string>& row = table.rows.emplace_back();
    row.push_back(curve->engine);
    for (const double recall : kRecalls) {
      const std::optional<double> speed = MedianSpeedAt(*curve, recall);
      row.push_back(speed ? Whole(*speed) : "-");
    }
  }
  return table;
}

// How many times as fast `ours` is as each of the others. Engines of one run take turns, so their
// rounds are pairs.
Table RatioTable(const Curve& ours, const std::vector<const Curve*>& curves) {
  Table table{fmt::format("{} is so many times as fast as (median of the rounds' ratios, 95 % "
                          "interval):",
                          ours.engine),
              RecallHead("engine"),
              {}};
  for (const Curve* other : curves) {
    if (other == &ours) continue;
    std::vector<std::string>& row = table.rows.emplace_back();
    row.push_back(other->engine);
    for (const double recall : kRecalls) {
      const std::vector<double> above = SpeedsAt(ours, recall);
      const std::vector<double> below = SpeedsAt(*other, recall);
      row.push_back(above.empty() || below.empty() ? "-"
                                                   : Text(RatioOf(above, below, Pairing::kPaired)));
    }
  }
  return table;
}

Figure SpeedFigure(const Run& run, int threads, Drawing& drawing) {
  const std::vector<const Curve*> curves = WithThreads(run, threads);
  Figure figure;
  figure.id = drawing.Id("curves");
  figure.title = fmt::format("Speed against recall, {}", Threads(threads));
  LineChart chart;
  chart.x = {.title = RecallTitle(run), .scale = ScaleKind::kRecall};
  chart.y = {.title = "queries per second (log scale)", .scale = ScaleKind::kLog};
  for (const Curve* curve : curves) {
    chart.series.push_back(SpeedSeries(*curve, drawing.stylist().Of(curve->engine)));
  }
  figure.chart = std::move(chart);
  figure.better =
      "Up and to the right is better: more queries a second at the same recall. Each marker is one "
      "list size, the median of its rounds; a vertical bar spans the slowest and the fastest.";
  figure.tables.push_back(SpeedTable(curves));
  if (curves.size() < 2) return figure;
  const auto is_ours = [](const Curve* c) { return c->engine.starts_with("shoal"); };
  if (std::none_of(curves.begin(), curves.end(), is_ours)) {
    figure.tables.push_back(RatioTable(*curves.front(), curves));
  }
  for (const Curve* curve : curves) {
    if (is_ours(curve)) figure.tables.push_back(RatioTable(*curve, curves));
  }
  return figure;
}

bool SameLine(const Series& a, const Series& b) {
  return std::equal(
      a.points.begin(), a.points.end(), b.points.begin(), b.points.end(),
      [](const DataPoint& p, const DataPoint& q) { return p.x == q.x && p.y == q.y; });
}

// Distances do not depend on the number of threads: the first curve of an engine has them. Engines
// with the same counts (the same graph) share a line, named after the first.
std::vector<Series> WorkSeries(const Run& run, Drawing& drawing) {
  std::vector<Series> lines;
  std::vector<int> others;
  std::set<std::string> seen;
  for (const Curve& curve : run.curves) {
    Series series{curve.engine, drawing.stylist().Of(curve.engine), {}};
    for (const CurvePoint& p : curve.points) {
      if (!p.distances || *p.distances <= 0) continue;
      series.points.push_back({.x = *p.distances,
                               .y = p.recall,
                               .title = fmt::format("{}, L = {}: {:.0f} distances, recall {:.4f}",
                                                    curve.engine, p.list, *p.distances, p.recall)});
    }
    if (series.points.empty() || !seen.insert(curve.engine).second) continue;
    const auto same = std::find_if(lines.begin(), lines.end(),
                                   [&](const Series& other) { return SameLine(series, other); });
    if (same == lines.end()) {
      lines.push_back(std::move(series));
      others.push_back(0);
    } else {
      ++others[static_cast<size_t>(same - lines.begin())];
    }
  }
  for (size_t i = 0; i < lines.size(); ++i) {
    if (others[i] > 0) lines[i].name += fmt::format(" and {} more", others[i]);
  }
  return lines;
}

std::optional<Figure> WorkFigure(const Run& run, Drawing& drawing) {
  LineChart chart{
      .x = {.title = "distances per query (log scale)", .scale = ScaleKind::kLog},
      .y = {.scale = ScaleKind::kRecall},
      .series = WorkSeries(run, drawing),
  };
  if (chart.series.empty()) return std::nullopt;
  chart.y.title = RecallTitle(run);
  return Figure{.id = drawing.Id("work"),
                .title = "Recall against work",
                .chart = std::move(chart),
                .better =
                    "Up and to the left is better: the graph finds as much with fewer "
                    "distances. Counts, not times: they are the same on every machine. "
                    "Engines that counted the same share a line."};
}

Table LatencyTable(const Run& run) {
  Table table{
      "Latency of single searches, in microseconds, at the first list size that was timed "
      "with recall of at least 0.95:",
      {"engine", "threads", "L", "recall", "p50", "p99", "p99.9"},
      {}};
  const auto cell = [](const std::optional<double>& value) {
    return value ? fmt::format("{:.0f}", *value) : std::string("-");
  };
  for (const Curve& curve : run.curves) {
    for (const CurvePoint& p : curve.points) {
      if (p.recall < 0.95 || !p.p50_us) continue;
      table.rows.push_back({curve.engine, fmt::format("{}", curve.threads),
                            fmt::format("{}", p.list), fmt::format("{:.4f}", p.recall),
                            cell(p.p50_us), cell(p.p99_us), cell(p.p999_us)});
      break;
    }
  }
  return table;
}

Figure BuildFigure(const Run& run, Drawing& drawing) {
  BarChart chart{.x = {.title = "seconds"}};
  Table table{"", {"engine", "seconds", "CPU seconds", "threads", "L", "points/s"}, {}};
  const auto cell = [](const std::optional<double>& value) {
    return value ? Number(*value, Unit::kNumber) : std::string("-");
  };
  for (const Build& build : run.builds) {
    chart.bars.push_back({build.engine,
                          drawing.stylist().Of(build.engine),
                          {{"build", build.seconds}},
                          fmt::format("{:.4g} s", build.seconds)});
    const auto memory = std::find_if(run.memory.begin(), run.memory.end(), [&](const Memory& m) {
      return m.engine == build.engine && m.points;
    });
    const bool counted = memory != run.memory.end() && build.seconds > 0;
    table.rows.push_back({build.engine, cell(build.seconds), cell(build.cpu_seconds),
                          cell(build.threads), cell(build.list),
                          counted ? Whole(*memory->points / build.seconds) : "-"});
    if (build.from.empty()) continue;
    if (table.head.size() == 6) table.head.emplace_back("built before");
    table.rows.back().push_back(build.from);
  }
  return Figure{.id = drawing.Id("builds"),
                .title = "Time of a build",
                .chart = std::move(chart),
                .better = "Shorter is better: seconds by the clock on the wall.",
                .tables = {std::move(table)}};
}

// A row for each part that any engine names, a column for each engine that names parts.
Table PartsTable(const Run& run) {
  Table table{"By the engines' own accounts, bytes per point:", {"part"}, {}};
  for (const Memory& memory : run.memory) {
    if (memory.parts.empty()) continue;
    table.head.push_back(memory.engine);
    for (const auto& [name, bytes] : memory.parts) {
      auto row = std::find_if(table.rows.begin(), table.rows.end(),
                              [&, part = name](const auto& r) { return r[0] == part; });
      if (row == table.rows.end()) row = table.rows.insert(row, {name});
      row->resize(table.head.size() - 1, "-");
      row->push_back(fmt::format("{:.1f}", bytes));
    }
  }
  for (std::vector<std::string>& row : table.rows) row.resize(table.head.size(), "-");
  return table;
}

Figure MemoryFigure(const Run& run, Drawing& drawing) {
  BarChart chart{.x = {.title = "bytes per point"}};
  for (const Memory& memory : run.memory) {
    chart.bars.push_back({memory.engine,
                          drawing.stylist().Of(memory.engine),
                          {{"all", memory.bytes_per_point}},
                          fmt::format("{:.0f} B", memory.bytes_per_point)});
  }
  Figure figure{.id = drawing.Id("memory"),
                .title = "Memory per point",
                .chart = std::move(chart),
                .better = "Shorter is better: bytes of memory for each point, vectors included."};
  Table parts = PartsTable(run);
  if (!parts.rows.empty()) figure.tables.push_back(std::move(parts));
  return figure;
}

}  // namespace

void AddCurves(const ResultsFile& file, const Run& run, Drawing& drawing, Section& section) {
  std::set<int> threads;
  for (const Curve& curve : run.curves) threads.insert(curve.threads);
  const auto add = [&](Figure figure) {
    figure.source = SourceOf(file);
    section.figures.push_back(std::move(figure));
  };
  for (const int count : threads) {
    if (!WithThreads(run, count).empty()) add(SpeedFigure(run, count, drawing));
  }
  if (std::optional<Figure> work = WorkFigure(run, drawing)) add(std::move(*work));
  Table latency = LatencyTable(run);
  if (!latency.rows.empty()) section.tables.push_back(std::move(latency));
}

void AddBuilds(const ResultsFile& file, const Run& run, Drawing& drawing, Section& section) {
  const auto add = [&](Figure figure) {
    figure.source = SourceOf(file);
    section.figures.push_back(std::move(figure));
  };
  if (!run.builds.empty()) add(BuildFigure(run, drawing));
  if (!run.memory.empty()) add(MemoryFigure(run, drawing));
}

}  // namespace shoal::bench::report
