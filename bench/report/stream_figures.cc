#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/figures.h"
#include "report/statistics.h"

namespace shoal::bench::report {
namespace {

// More points than that are more than a picture has room for.
constexpr size_t kMostPoints = 600;

using Value = std::optional<double> StreamStep::*;

// Seconds where every step of every stream has them, step numbers elsewhere.
enum class Clock { kSeconds, kSteps };

Clock ClockOf(const StreamGroup& group) {
  const bool all = std::all_of(group.begin(), group.end(), [](const Run* run) {
    return std::all_of(run->stream->steps.begin(), run->stream->steps.end(),
                       [](const StreamStep& s) { return s.at_seconds.has_value(); });
  });
  return all ? Clock::kSeconds : Clock::kSteps;
}

Axis TimeAxis(Clock clock) {
  if (clock == Clock::kSteps)
    return {.title = "step of the stream", .scale = ScaleKind::kTime, .at_most = 0};
  return {.title = "seconds since the stream began", .scale = ScaleKind::kTime, .at_most = 0};
}

// kDropped: a log axis has no zero, and a latency or rate of 0 was not measured.
enum class Zeros { kKept, kDropped };

// Percentiles are of single operations of the step's kind; a step that has a recall or a speed of
// searches searched.
enum class Steps { kAll, kSearches, kInserts, kDeletes, kReplaces };

bool Belongs(const StreamStep& step, Steps steps) {
  switch (steps) {
    case Steps::kAll: return true;
    case Steps::kSearches: return step.recall || step.qps;
    case Steps::kInserts: return step.operation == "insert";
    case Steps::kDeletes: return step.operation == "delete";
    case Steps::kReplaces: return step.operation == "replace";
  }
  return false;
}

struct Line {
  std::string_view name;
  Value value;
  Steps steps = Steps::kAll;
};

std::vector<DataPoint> PointsOf(const Stream& stream, const Line& line, Clock clock, Zeros zeros) {
  std::vector<DataPoint> points;
  for (const StreamStep& s : stream.steps) {
    const std::optional<double>& value = s.*line.value;
    if (!value || !Belongs(s, line.steps) || (zeros == Zeros::kDropped && *value <= 0)) continue;
    DataPoint point{.x = clock == Clock::kSeconds ? *s.at_seconds : s.step, .y = *value};
    if (line.value == &StreamStep::recall) {
      point.least = s.recall_low;
      point.most = s.recall_high;
    }
    point.title = fmt::format("step {} ({}): {:.6g}", s.step, s.operation, point.y);
    points.push_back(std::move(point));
  }
  std::stable_sort(points.begin(), points.end(),
                   [](const DataPoint& p, const DataPoint& q) { return p.x < q.x; });
  return Thinned(points, kMostPoints);
}

// What a line is called: the engine, or the run where two runs are of one engine.
std::string NameOf(const StreamGroup& group, const Run& run) {
  const auto same = std::count_if(group.begin(), group.end(), [&](const Run* other) {
    return other->stream->engine == run.stream->engine;
  });
  return same > 1 && !run.name.empty() ? run.name : run.stream->engine;
}

enum class AxisBegin { kAtData, kAtZero };

// A row of the table of what is drawn of a stream.
struct Plot {
  std::string_view kind, title, axis;
  ScaleKind scale;
  Unit unit;
  AxisBegin begin;
  Zeros zeros;
  std::vector<Line> lines;  // One: it is named after the engine.
  std::string_view better;
};

Axis AxisOf(const Plot& plot) {
  Axis axis{.title = std::string(plot.axis), .scale = plot.scale, .unit = plot.unit};
  if (plot.begin == AxisBegin::kAtZero) axis.at_most = 0;
  return axis;
}

// Dashes of a line that goes up and down all the time hide it; colours and names have to do.
Style OverTime(Style style) {
  style.dash = Dash::kSolid;
  return style;
}

// One plot for all engines when it has one line for each; else one for each engine.
void AddPlot(const StreamGroup& group, const Plot& plot, Drawing& drawing,
             std::vector<Figure>& figures) {
  const Clock clock = ClockOf(group);
  const auto add = [&](LineChart chart, std::string title) {
    if (chart.series.empty()) return;
    chart.x = TimeAxis(clock);
    chart.y = AxisOf(plot);
    figures.push_back({.id = drawing.Id(plot.kind),
                       .title = std::move(title),
                       .chart = std::move(chart),
                       .better = std::string(plot.better)});
  };
  LineChart shared;
  for (const Run* run : group) {
    const std::string engine = NameOf(group, *run);
    LineChart own;
    for (size_t i = 0; i < plot.lines.size(); ++i) {
      std::vector<DataPoint> points = PointsOf(*run->stream, plot.lines[i], clock, plot.zeros);
      if (points.empty()) continue;
      if (plot.lines.size() == 1) {
        shared.series.push_back(
            {engine, OverTime(drawing.stylist().Of(engine)), std::move(points)});
      } else {
        own.series.push_back({std::string(plot.lines[i].name), PlainStyle(i), std::move(points)});
      }
    }
    add(std::move(own), fmt::format("{}, {}", plot.title, engine));
  }
  add(std::move(shared), std::string(plot.title));
}

const std::vector<Plot>& Plots() {
  using S = StreamStep;
  static const std::vector<Plot> kPlots = {
      {"recall",
       "Recall over the stream",
       "recall",
       ScaleKind::kLinear,
       Unit::kNumber,
       AxisBegin::kAtData,
       Zeros::kKept,
       {{"", &S::recall}},
       "Higher is better; a line that stays level forgets nothing. Where searches and updates "
       "overlap, a vertical bar spans what the recall can have been, and the line is its lower "
       "end."},
      {"latency",
       "Latency of searches over the stream",
       "latency (log scale)",
       ScaleKind::kLog,
       Unit::kMicroseconds,
       AxisBegin::kAtData,
       Zeros::kDropped,
       {{"p50", &S::p50_us, Steps::kSearches},
        {"p99", &S::p99_us, Steps::kSearches},
        {"p99.9", &S::p999_us, Steps::kSearches},
        {"worst", &S::max_us, Steps::kSearches}},
       "Lower is better. Of a hundred searches one takes longer than p99, of a thousand one longer "
       "than p99.9."},
      {"update-latency",
       "Latency of updates over the stream",
       "latency (log scale)",
       ScaleKind::kLog,
       Unit::kMicroseconds,
       AxisBegin::kAtData,
       Zeros::kDropped,
       {{"inserts, p50", &S::p50_us, Steps::kInserts},
        {"inserts, p99", &S::p99_us, Steps::kInserts},
        {"deletes, p50", &S::p50_us, Steps::kDeletes},
        {"deletes, p99", &S::p99_us, Steps::kDeletes},
        {"replaces, p50", &S::p50_us, Steps::kReplaces},
        {"replaces, p99", &S::p99_us, Steps::kReplaces}},
       "Lower is better: the time of single inserts, deletes and replaces."},
      {"speed",
       "Searches per second over the stream",
       "searches per second",
       ScaleKind::kLinear,
       Unit::kNumber,
       AxisBegin::kAtZero,
       Zeros::kKept,
       {{"", &S::qps}},
       "Higher is better."},
      {"resident",
       "Memory over the stream",
       "resident memory of the process",
       ScaleKind::kLinear,
       Unit::kBytes,
       AxisBegin::kAtZero,
       Zeros::kKept,
       {{"", &S::resident_bytes}},
       "Lower is better, and it should follow the number of points alive: what was deleted ought "
       "to give its memory back, or have it used again."},
      {"index-bytes",
       "Memory of the index over the stream",
       "memory by the index's own account",
       ScaleKind::kLinear,
       Unit::kBytes,
       AxisBegin::kAtZero,
       Zeros::kDropped,
       {{"", &S::index_bytes}},
       "Lower is better."},
      {"live",
       "Points alive over the stream",
       "points",
       ScaleKind::kLinear,
       Unit::kNumber,
       AxisBegin::kAtZero,
       Zeros::kKept,
       {{"", &S::live}},
       "Neither is better: this is what the stream asks for, to read the others by."},
      {"rates",
       "Updates per second over the stream",
       "updates per second",
       ScaleKind::kLinear,
       Unit::kNumber,
       AxisBegin::kAtZero,
       Zeros::kDropped,
       {{"inserts", &S::insert_rate}, {"deletes", &S::delete_rate}, {"replaces", &S::replace_rate}},
       "Higher is better."},
  };
  return kPlots;
}

// The median over the steps that have a value.
std::optional<double> Typical(const Stream& stream, Value value, Steps steps) {
  std::vector<double> rates;
  for (const StreamStep& s : stream.steps) {
    if ((s.*value) && *(s.*value) > 0 && Belongs(s, steps)) rates.push_back(*(s.*value));
  }
  if (rates.empty()) return std::nullopt;
  return Median(std::move(rates));
}

std::optional<Figure> RateBars(const StreamGroup& group, Drawing& drawing) {
  BarChart chart{.x = {.title = "updates per second, median of the steps"}};
  for (const Run* run : group) {
    const std::string engine = NameOf(group, *run);
    for (const auto& [name, value] : {std::pair{"inserts", &StreamStep::insert_rate},
                                      {"deletes", &StreamStep::delete_rate},
                                      {"replaces", &StreamStep::replace_rate}}) {
      const std::optional<double> rate = Typical(*run->stream, value, Steps::kAll);
      if (!rate) continue;
      chart.bars.push_back({fmt::format("{}, {}", engine, name),
                            drawing.stylist().Of(engine),
                            {{name, *rate}},
                            fmt::format("{}/s", Number(*rate, Unit::kNumber))});
    }
  }
  if (chart.bars.empty()) return std::nullopt;
  return Figure{.id = drawing.Id("update-rates"),
                .title = "Update rates",
                .chart = std::move(chart),
                .better = "Longer is better: updates that a second has room for."};
}

// "2.5 ms" as one word, which a narrow table does not break.
std::string Latency(const std::optional<double>& us) {
  if (!us) return "-";
  std::string text = Number(*us, Unit::kMicroseconds);
  if (const size_t blank = text.find(' '); blank != std::string::npos)
    text.replace(blank, 1, "\u00a0");
  return text;
}

Table Summary(const StreamGroup& group) {
  Table table{
      "Of the whole stream (medians of the steps that search):",
      {"engine", "steps", "recall, mean", "recall, least", "p50", "p99", "p99.9", "memory, most"},
      {}};
  for (const Run* run : group) {
    const Stream& stream = *run->stream;
    double sum = 0, count = 0, least = 1, memory = 0;
    for (const StreamStep& s : stream.steps) {
      memory = std::max(memory, s.resident_bytes.value_or(0));
      if (!s.recall) continue;
      sum += *s.recall;
      count += 1;
      least = std::min(least, *s.recall);
    }
    const auto typical = [&](Value value) {
      return Latency(Typical(stream, value, Steps::kSearches));
    };
    table.rows.push_back({NameOf(group, *run), fmt::format("{}", stream.steps.size()),
                          count > 0 ? fmt::format("{:.4f}", sum / count) : "-",
                          count > 0 ? fmt::format("{:.4f}", least) : "-",
                          typical(&StreamStep::p50_us), typical(&StreamStep::p99_us),
                          typical(&StreamStep::p999_us),
                          memory > 0 ? Number(memory, Unit::kBytes) : "-"});
  }
  return table;
}

// "recall_low" as people write it.
std::string Words(std::string_view name) {
  std::string words(name);
  std::replace(words.begin(), words.end(), '_', ' ');
  return words;
}

void AddOverlap(const Run& run, const std::string& engine, Section& section) {
  Table table{fmt::format("{}, everything at the same time, over the whole run:", engine),
              {"operation", "count", "per second", "p50", "p99", "p99.9", "longest"},
              {}};
  for (const OverlapKind& kind : run.overlap->kinds) {
    const auto cell = [](const std::optional<double>& value) {
      return value ? Number(std::round(*value), Unit::kNumber) : std::string("-");
    };
    table.rows.push_back({kind.name, cell(kind.count), cell(kind.rate), Latency(kind.p50_us),
                          Latency(kind.p99_us), Latency(kind.p999_us), Latency(kind.max_us)});
  }
  section.tables.push_back(std::move(table));
  Table facts{"What the log of that run allows:", {"figure", "value"}, {}};
  for (const auto& [name, value] : run.overlap->plain) facts.rows.push_back({Words(name), value});
  section.tables.push_back(std::move(facts));
}

bool SameSteps(const Stream& a, const Stream& b) {
  return std::equal(a.steps.begin(), a.steps.end(), b.steps.begin(), b.steps.end(),
                    [](const StreamStep& s, const StreamStep& t) {
                      return s.step == t.step && s.operation == t.operation;
                    });
}

}  // namespace

std::vector<StreamGroup> GroupStreams(const ResultsFile& file) {
  std::vector<StreamGroup> groups;
  for (const Run& run : file.runs) {
    if (!run.stream || run.stream->steps.empty()) continue;
    const auto group = std::find_if(groups.begin(), groups.end(), [&](const StreamGroup& g) {
      return SameSteps(*g.front()->stream, *run.stream);
    });
    if (group == groups.end()) {
      groups.push_back({&run});
    } else {
      group->push_back(&run);
    }
  }
  return groups;
}

void AddStreams(const ResultsFile& file, const StreamGroup& group, Drawing& drawing,
                Section& section) {
  std::vector<Figure> figures;
  for (const Plot& plot : Plots()) AddPlot(group, plot, drawing, figures);
  if (std::optional<Figure> bars = RateBars(group, drawing)) figures.push_back(std::move(*bars));
  for (Figure& figure : figures) {
    figure.source = SourceOf(file);
    section.figures.push_back(std::move(figure));
  }
  section.tables.push_back(Summary(group));
  for (const Run* run : group)
    if (run->overlap) AddOverlap(*run, NameOf(group, *run), section);
}

}  // namespace shoal::bench::report
