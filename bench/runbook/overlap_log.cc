#include "runbook/overlap_log.h"

#include <algorithm>
#include <map>
#include <utility>

#include "runbook/clusters.h"
#include "runbook/same_distance.h"
#include "shoal/exact.h"

namespace shoal::bench {
namespace {

double Seconds(uint64_t nanoseconds) { return static_cast<double>(nanoseconds) * 1e-9; }
float Microseconds(uint64_t nanoseconds) {
  return static_cast<float>(static_cast<double>(nanoseconds) * 1e-3);
}

// The bucket that a time falls into; what ends after the last sample belongs to the last.
size_t BucketOf(const std::vector<BucketSample>& samples, uint64_t time) {
  const auto at = std::lower_bound(
      samples.begin(), samples.end(), time,
      [](const BucketSample& sample, uint64_t value) { return sample.time < value; });
  return std::min(static_cast<size_t>(at - samples.begin()), samples.size() - 1);
}

std::vector<float> All(const std::vector<UpdateLog>& logs) {
  std::vector<float> all;
  for (const UpdateLog& log : logs)
    all.insert(all.end(), log.latencies_us.begin(), log.latencies_us.end());
  return all;
}

void FillBuckets(const OverlapLog& log, OverlapFigures& figures) {
  const size_t n = log.samples.size();
  std::vector<std::vector<float>> latencies(n);
  std::vector<uint64_t> inserts(n, 0), replaces(n, 0), deletes(n, 0);
  for (const SearchLog& searches : log.searches)
    for (const SearchRecord& record : searches.records)
      latencies[BucketOf(log.samples, record.end)].push_back(Microseconds(record.end - record.due));
  for (const UpdateLog& writes : log.writes)
    for (size_t i = 0; i < writes.events.size(); ++i)
      ++(writes.replaces[i] != 0 ? replaces : inserts)[BucketOf(log.samples, writes.events[i].end)];
  for (const UpdateLog& of : log.deletes)
    for (const PointEvent& event : of.events) ++deletes[BucketOf(log.samples, event.end)];
  uint64_t last = 0;
  for (size_t i = 0; i < n; ++i) {
    const BucketSample& sample = log.samples[i];
    StreamStep step;
    step.number = i + 1;
    step.operation = "search";
    step.at_seconds = Seconds(sample.time);
    step.seconds = Seconds(sample.time - std::exchange(last, sample.time));
    step.points = latencies[i].size();
    step.live = sample.live;
    const auto rate = [&](uint64_t count) {
      return static_cast<double>(count) / std::max(1e-9, step.seconds);
    };
    step.qps = rate(step.points);
    step.insert_rate = rate(inserts[i]);
    step.delete_rate = rate(deletes[i]);
    if (figures.replaces > 0) step.replace_rate = rate(replaces[i]);
    step.pending_repairs = sample.pending_repairs;
    step.resident_bytes = sample.resident_bytes;
    step.peak_resident_bytes = sample.peak_resident_bytes;
    step.index_bytes = sample.index_bytes;
    step.tail = TailOf(latencies[i]);
    figures.buckets.push_back(std::move(step));
  }
}

// Whether every hit can have been one.
class HitCheck {
 public:
  HitCheck(const History& history, const Input& input, OverlapFigures& figures)
      : history_(history), input_(input), figures_(figures) {}

  void Check(const SearchLog& log, const SearchRecord& record) const {
    for (size_t i = 0; i < record.found; ++i) {
      const size_t at = record.first + i;
      const uint32_t id = log.ids[at];
      const auto* const begin = log.ids.data() + record.first;
      if (std::find(begin, begin + i, id) != begin + i) ++figures_.doubled;
      bool possible = false, same = false;
      history_.Possible(id, record.start, record.end, [&](uint32_t row) {
        possible = true;
        same = same || SameDistance(input_.metric, input_.queries[record.query], input_.rows[row],
                                    log.distances[at]);
      });
      if (!possible) ++figures_.outside;
      if (possible && !same) ++figures_.wrong_distance;
    }
  }

 private:
  const History& history_;
  const Input& input_;
  OverlapFigures& figures_;
};

using Pick = std::pair<const SearchLog*, const SearchRecord*>;

// Evenly over all, by query.
std::map<uint32_t, std::vector<Pick>> Sample(const OverlapLog& log, size_t wanted) {
  size_t all = 0, seen = 0;
  for (const SearchLog& searches : log.searches) all += searches.records.size();
  // Odd, so that it meets every query where there are a round number of them.
  const size_t every = std::max<size_t>(1, all / std::max<size_t>(1, wanted)) | 1;
  std::map<uint32_t, std::vector<Pick>> picks;
  for (const SearchLog& searches : log.searches)
    for (const SearchRecord& record : searches.records)
      if (seen++ % every == 0) picks[record.query].emplace_back(&searches, &record);
  return picks;
}

class RecallJudge {
 public:
  RecallJudge(const History& history, const OverlapLog& log, const Input& input,
              const OverlapOptions& options, OverlapFigures& figures)
      : history_(history),
        log_(log),
        input_(input),
        options_(options),
        figures_(figures),
        used_(history.RowsUsed(input.rows.rows())),
        rows_(static_cast<size_t>(std::count(used_.begin(), used_.end(), uint8_t{1}))),
        sums_(log.samples.size()) {}

  // In rounds: a query whose nearest rows do not suffice is asked for four times as many.
  Status Judge() {
    auto picks = Sample(log_, options_.judged);
    if (rows_ == 0) return {};  // Nothing ever was there.
    const size_t live = std::max<size_t>(1, log_.before.size());
    for (size_t depth = 64 + 4 * options_.k * (1 + rows_ / live); !picks.empty(); depth *= 4)
      if (auto ok = Round(std::min(depth, rows_), picks); !ok) return ok;
    const auto count = static_cast<double>(figures_.judged);
    if (figures_.judged > 0) figures_.recall = {total_.low / count, total_.high / count};
    for (size_t i = 0; i < sums_.size(); ++i) {
      if (sums_[i].judged == 0) continue;
      const auto n = static_cast<double>(sums_[i].judged);
      figures_.buckets[i].recall_low = sums_[i].bounds.low / n;
      figures_.buckets[i].recall_high = sums_[i].bounds.high / n;
      figures_.buckets[i].recall = figures_.buckets[i].recall_low;
    }
    return {};
  }

 private:
  struct Sum {
    RecallBounds bounds;
    size_t judged = 0;
  };

  Status Round(size_t depth, std::map<uint32_t, std::vector<Pick>>& picks) {
    std::vector<uint32_t> numbers;
    for (const auto& [query, of] : picks) numbers.push_back(query);
    const auto queries = Reorder(input_.queries, numbers);
    if (!queries) return tl::unexpected(queries.error());
    const auto nearest = ExactSearch(input_.rows, *queries,
                                     {.k = depth,
                                      .metric = input_.metric,
                                      .include = used_,
                                      .batch = {.threads = options_.judge_threads}});
    if (!nearest) return tl::unexpected(nearest.error());
    size_t row = 0;
    for (auto it = picks.begin(); it != picks.end(); ++row) {
      const History::Nearest list{nearest->Ids(row), nearest->Distances(row), depth == rows_};
      std::erase_if(it->second, [&](const Pick& pick) { return JudgeOne(pick, list); });
      it = it->second.empty() ? picks.erase(it) : std::next(it);
    }
    return {};
  }

  // False: the list is too short.
  bool JudgeOne(const Pick& pick, const History::Nearest& list) {
    const auto& [searches, record] = pick;
    RecallBounds bounds;
    const TimedAnswer answer{record->start, record->end, searches->Ids(*record)};
    const Verdict verdict = history_.Judge(answer, list, options_.k, bounds);
    if (verdict == Verdict::kNeedsMore) return false;
    if (verdict == Verdict::kTooFew) {
      ++figures_.not_judged;
      return true;
    }
    ++figures_.judged;
    Sum& sum = sums_[BucketOf(log_.samples, record->end)];
    ++sum.judged;
    for (RecallBounds* to : {&sum.bounds, &total_}) {
      to->low += bounds.low;
      to->high += bounds.high;
    }
    return true;
  }

  const History& history_;
  const OverlapLog& log_;
  const Input& input_;
  const OverlapOptions& options_;
  OverlapFigures& figures_;
  const std::vector<uint8_t> used_;
  const size_t rows_;  // That some point had.
  std::vector<Sum> sums_;
  RecallBounds total_;
};

}  // namespace

OverlapFigures Summarise(const OverlapLog& log) {
  OverlapFigures figures;
  std::vector<float> response, service;
  for (const SearchLog& searches : log.searches) {
    figures.searches += searches.records.size();
    for (const SearchRecord& record : searches.records) {
      response.push_back(Microseconds(record.end - record.due));
      service.push_back(Microseconds(record.end - record.start));
    }
  }
  for (const UpdateLog& writes : log.writes) {
    const auto replaces = static_cast<uint64_t>(
        std::count(writes.replaces.begin(), writes.replaces.end(), uint8_t{1}));
    figures.replaces += replaces;
    figures.inserts += writes.events.size() - replaces;
  }
  for (const UpdateLog& deletes : log.deletes) figures.deletes += deletes.events.size();
  figures.seconds = Seconds(log.samples.back().time);
  figures.search_tail = TailOf(response);
  figures.search_service = TailOf(service);
  std::vector<float> writes = All(log.writes), deletes = All(log.deletes);
  figures.insert_tail = TailOf(writes);
  figures.delete_tail = TailOf(deletes);
  FillBuckets(log, figures);
  return figures;
}

Status JudgeOverlap(const OverlapLog& log, const Input& input, const OverlapOptions& options,
                    OverlapFigures& figures) {
  std::vector<PointEvent> events = log.before;
  for (const auto* updates : {&log.writes, &log.deletes})
    for (const UpdateLog& of : *updates)
      events.insert(events.end(), of.events.begin(), of.events.end());
  const History history(std::move(events));
  const HitCheck check(history, input, figures);
  for (const SearchLog& searches : log.searches)
    for (const SearchRecord& record : searches.records) check.Check(searches, record);
  return RecallJudge(history, log, input, options, figures).Judge();
}

}  // namespace shoal::bench
