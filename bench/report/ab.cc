#include "report/ab.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "report/figures.h"
#include "report/statistics.h"

namespace shoal::bench::report {
namespace {

enum class Better { kHigher, kLower };

// Everything that one side measured of one figure.
struct Metric {
  Better better = Better::kHigher;
  std::vector<double> samples;
};
// By (subject, figure): ("shoal-u8, 1 thread", "queries/s at recall 0.95"), in the order in which
// they were met.
class Metrics {
 public:
  using Key = std::pair<std::string, std::string>;

  void Add(const std::string& subject, const std::string& figure, Better better, double value) {
    if (value <= 0) return;
    const auto [place, added] = metrics_.try_emplace({subject, figure});
    if (added) keys_.push_back(place->first);
    place->second.better = better;
    place->second.samples.push_back(value);
  }
  const Metric* Find(const Key& key) const {
    const auto place = metrics_.find(key);
    return place == metrics_.end() ? nullptr : &place->second;
  }
  const std::vector<Key>& keys() const { return keys_; }

 private:
  std::vector<Key> keys_;
  std::map<Key, Metric> metrics_;
};

std::vector<const Run*> RunsOf(const std::vector<ResultsFile>& files) {
  std::vector<const Run*> runs;
  for (const ResultsFile& file : files) {
    for (const Run& run : file.runs) runs.push_back(&run);
  }
  // ISO 8601: the order of the texts is that of the times.
  std::stable_sort(runs.begin(), runs.end(),
                   [](const Run* x, const Run* y) { return x->started < y->started; });
  return runs;
}

std::string KeyOf(const Run& run) {
  return run.name.empty() ? run.type : fmt::format("{} ({})", run.name, run.type);
}

void AddCurve(const Curve& curve, Metrics& metrics) {
  const std::string who =
      fmt::format("{}, {} thread{}", curve.engine, curve.threads, curve.threads == 1 ? "" : "s");
  bool reached = false;
  for (const double recall : kRecalls) {
    for (const double speed : SpeedsAt(curve, recall)) {
      metrics.Add(who, fmt::format("queries/s at recall {:.2f}", recall), Better::kHigher, speed);
      reached = true;
    }
  }
  for (const CurvePoint& p : curve.points) {
    // Where the table's recalls were not reached, equal list sizes have to do.
    for (const double qps : reached ? std::vector<double>() : p.qps) {
      metrics.Add(who, fmt::format("queries/s at L = {}", p.list), Better::kHigher, qps);
    }
    if (p.qps.empty()) continue;
    metrics.Add(who, fmt::format("recall at L = {}", p.list), Better::kHigher, p.recall);
    if (p.distances) {
      metrics.Add(who, fmt::format("distances at L = {}", p.list), Better::kLower, *p.distances);
    }
    if (p.p99_us)
      metrics.Add(who, fmt::format("p99 µs at L = {}", p.list), Better::kLower, *p.p99_us);
  }
}

void AddStream(const Stream& stream, Metrics& metrics) {
  struct Field {
    std::string_view name;
    Better better;
    std::optional<double> StreamStep::*value;
  };
  static constexpr Field kFields[] = {
      {"recall", Better::kHigher, &StreamStep::recall},
      {"queries/s", Better::kHigher, &StreamStep::qps},
      {"p50 µs", Better::kLower, &StreamStep::p50_us},
      {"p99 µs", Better::kLower, &StreamStep::p99_us},
      {"p99.9 µs", Better::kLower, &StreamStep::p999_us},
      {"inserts/s", Better::kHigher, &StreamStep::insert_rate},
      {"deletes/s", Better::kHigher, &StreamStep::delete_rate},
      {"replaces/s", Better::kHigher, &StreamStep::replace_rate},
      {"resident bytes", Better::kLower, &StreamStep::resident_bytes},
      {"index bytes", Better::kLower, &StreamStep::index_bytes},
  };
  for (const StreamStep& step : stream.steps) {
    for (const Field& field : kFields) {
      const std::optional<double> value = step.*field.value;
      if (!value) continue;
      // Percentiles are of the step's own operations: those of inserts are others than of searches.
      const bool percentile = field.name.ends_with("µs");
      metrics.Add(
          fmt::format("{}, stream", stream.engine),
          percentile ? fmt::format("{}, {}", step.operation, field.name) : std::string(field.name),
          field.better, *value);
    }
  }
}

Metrics MetricsOf(const std::vector<const Run*>& runs) {
  Metrics metrics;
  for (const Run* run : runs) {
    for (const Curve& curve : run->curves) AddCurve(curve, metrics);
    for (const Build& build : run->builds) {
      metrics.Add(build.engine, "build, seconds", Better::kLower, build.seconds);
    }
    for (const Memory& memory : run->memory) {
      metrics.Add(memory.engine, "bytes per point", Better::kLower, memory.bytes_per_point);
    }
    if (run->stream) AddStream(*run->stream, metrics);
  }
  return metrics;
}

// In time's order every two successive runs are one of each side.
bool TookTurns(const std::vector<const Run*>& a, const std::vector<const Run*>& b) {
  if (a.size() != b.size() || a.size() < 2) return false;
  std::vector<std::pair<std::string, char>> order;
  for (const Run* run : a) order.emplace_back(run->started, 'a');
  for (const Run* run : b) order.emplace_back(run->started, 'b');
  std::sort(order.begin(), order.end());
  for (size_t i = 0; i < order.size(); i += 2) {
    if (order[i].first.empty() || order[i].second == order[i + 1].second) return false;
  }
  return true;
}

std::string Verdict(const Ratio& ratio, Better better, size_t samples) {
  if (samples < 2) return "one sample";
  if (!ratio.differs()) return "no difference shown";
  return (ratio.value > 1) == (better == Better::kHigher) ? "B is better" : "B is worse";
}

// Differences of a hundredth count here.
std::string Precise(const Ratio& ratio) {
  if (!ratio.low) return fmt::format("{:.3f}", ratio.value);
  return fmt::format("{:.3f} ({:.3f}–{:.3f})", ratio.value, *ratio.low, *ratio.high);
}

std::string Figure(double value) { return Number(value, Unit::kNumber); }

// One table for each subject. A figure with one sample a side that is the same says nothing.
void AddTables(const std::string& run, const Metrics& a, const Metrics& b, Pairing pairing,
               std::vector<Table>& tables) {
  std::map<std::string, size_t> places;
  for (const Metrics::Key& key : a.keys()) {
    const std::vector<double>& left = a.Find(key)->samples;
    const Metric* other = b.Find(key);
    if (other == nullptr) continue;
    const std::vector<double>& right = other->samples;
    const size_t samples = std::min(left.size(), right.size());
    if (samples < 2 && left == right) continue;
    const bool paired = pairing == Pairing::kPaired && left.size() == right.size();
    const Ratio ratio = RatioOf(right, left, paired ? Pairing::kPaired : Pairing::kUnpaired);
    const auto [place, added] = places.try_emplace(key.first, tables.size());
    if (added) {
      tables.push_back({fmt::format("{}: {}", run, key.first),
                        {"figure", "B / A (95 %)", "verdict", "A", "B", "samples"},
                        {}});
    }
    tables[place->second].rows.push_back(
        {key.second, Precise(ratio), Verdict(ratio, other->better, samples), Figure(Median(left)),
         Figure(Median(right)), fmt::format("{}", samples)});
  }
}

}  // namespace

Section CompareSides(const std::vector<ResultsFile>& a, const std::vector<ResultsFile>& b) {
  Section section{.id = "ab", .title = "A against B"};
  const auto describe = [&](std::string_view side, const std::vector<ResultsFile>& files) {
    for (const ResultsFile& file : files) {
      section.sources.push_back(fmt::format("{}: {}", side, SourceOf(file)));
    }
  };
  describe("A", a);
  describe("B", b);
  std::vector<std::string> keys;
  std::map<std::string, std::pair<std::vector<const Run*>, std::vector<const Run*>>> runs;
  for (const Run* run : RunsOf(a)) {
    if (runs.find(KeyOf(*run)) == runs.end()) keys.push_back(KeyOf(*run));
    runs[KeyOf(*run)].first.push_back(run);
  }
  std::string alone;
  for (const Run* run : RunsOf(b)) runs[KeyOf(*run)].second.push_back(run);
  for (const auto& [key, sides] : runs) {
    if (sides.first.empty() || sides.second.empty()) alone += (alone.empty() ? "" : ", ") + key;
  }
  bool turns = true;
  for (const std::string& key : keys) {
    const auto& [left, right] = runs[key];
    if (right.empty()) continue;
    const bool paired = TookTurns(left, right);
    turns = turns && paired;
    AddTables(key, MetricsOf(left), MetricsOf(right),
              paired ? Pairing::kPaired : Pairing::kUnpaired, section.tables);
  }
  section.notes.push_back(
      "Ratios are B by A, with the middle 95 % of 2000 bootstrap samples; a difference is claimed "
      "where that interval leaves out 1. With n samples a side, n below about 6, it reaches from "
      "the least ratio to the greatest.");
  if (!turns) {
    section.notes.push_back(
        "The runs of A and B did not take turns: what the machine did to one side alone counts as "
        "a difference. Run A B A B, with one file for each run, to leave it out.");
  }
  if (!alone.empty())
    section.notes.push_back(fmt::format("On one side only, and left out: {}.", alone));
  if (section.tables.empty()) section.notes.push_back("The two sides have no figure in common.");
  return section;
}

}  // namespace shoal::bench::report
