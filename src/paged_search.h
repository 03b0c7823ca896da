// A search in pages (shoal/pages.h).
//
// Problem: a search that goes on must know what it has met. Between two pages it holds no guard, so
// slots that it has met may be freed and used again.
//
// Wrong attempts: a guard that is held between pages stops the epochs. A new search per page, with
// a list that is longer by k, costs the square of the pages.
//
// Idea: all that a page scores goes to a pool, with the id that the slot had. The next page takes
// the nearest L of the pool for its candidate list, and expands those that were not expanded. What
// a page hands out is looked at again under the page's guard: whether it is live, in this slot or
// another, and accepted; and it is scored anew. Where slots were retired since the last page, the
// visited set is built anew of those that still have the point that was met.
//
// Where nothing is left to expand, or the filter's budget for refused points is spent
// (filtered_view.h), all points that were not met are scored. From then on pages only take from the
// pool. max_per_label is a question for a point that is to be handed out, so a search with it is a
// page of such a search.
#pragma once

#include <algorithm>
#include <limits>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "filtered_search.h"
#include "graph/rerank.h"
#include "graph/searcher.h"
#include "shoal/index.h"
#include "shoal/pages.h"

namespace shoal {

// Which rows a search in pages traverses. It begins with the traversal rows; when a page's hits are
// not told apart (rerank.h), it begins anew with those that order hits, and stays with them.
enum class PageRows : uint8_t { kTraversal, kRanking };

// What is searched gives a host, for one page, under a guard:
//
// - WithView(PageRows, visit): calls visit(view), and returns what that does.
// - Scorer Bind(VectorView query, PageRows), WorkCounters& work().
// - ExternalId IdOf(SlotId), std::span<const uint32_t> LabelsOf(SlotId).
// - bool IsReadable(SlotId, ExternalId): whether the slot has this point, live or deleted.
// - bool IsLive(SlotId).
// - std::optional<SlotId> LiveSlot(SlotId, ExternalId): where the point is live: there, or
//   elsewhere. Look-up is LiveSlot(kNoSlot, id).
// - uint64_t retirements(): slots that ever became unreadable.
// - Status Rank(VectorView query, std::vector<Candidate>&): scores what is live by the rows that
//   order hits, and sorts it.
// - size_t ToRank(k, list_size): how many candidates are ranked for k hits.
// - bool TellsApart(VectorView query, EstimatedHits): CodesTellApart of the traversal rows, with
//   their offset; true where no others decide.
// - bool RanksInMemory(), size_t most(), size_t max_degree(), FilteredRowBytes row_bytes().
// - Where rows are fetched, Status fetched(): an error if some could not be, for this host.
class PagedSearch {
 public:
  // The arguments were checked. Copies the query and the filter.
  PagedSearch(VectorView query, const SearchOptions& options);

  // The next ids.size() hits. May throw bad_alloc and PredicateThrew; then, and after an error, it
  // may be called again.
  template <class Host>
  Result<size_t> Next(Host& host, std::span<ExternalId> ids, std::span<float> distances);

  size_t page_size() const { return options_.k; }
  size_t rerank() const { return options_.rerank; }
  size_t bytes() const;

 private:
  struct MetPoint {
    SlotId slot;
    ExternalId id;
  };
  struct PooledPoint {
    float distance;  // By the rows that are traversed.
    SlotId slot;
    ExternalId id;
    bool eligible;
    bool expanded;
  };

  void Push(const PooledPoint& point);
  PooledPoint Pop();
  // Takes the labels' places for one more hit. False: one has none left.
  bool TakePlaces(std::span<const uint32_t> labels);

  template <class Host>
  size_t Begin(Host& host, size_t list_size);
  template <class Host>
  void Find(Host& host, size_t list_size);
  template <class Host, class View>
  void FindIn(Host& host, const View& view, size_t list_size);
  template <class Host>
  void Refill(Host& host, size_t list_size);
  template <class Host>
  void Absorb(Host& host);
  template <class Host>
  void DropReused(Host& host);
  enum class HandedOut : uint8_t { kNone, kSome, kUntold };
  template <class Host>
  Result<HandedOut> HandOut(Host& host, size_t k, size_t list_size);
  template <class Host>
  bool IsTold(Host& host, size_t k) const;
  template <class Host>
  void Choose(Host& host, size_t wanted);
  template <class Host>
  void TakeHits(Host& host, size_t k);
  void PutBackChosen();
  // What is found next is found anew. After an error: what it has kept from being scored was met.
  void Restart();

  const SearchOptions options_;
  const std::optional<Filter> filter_;
  std::vector<std::byte> query_bytes_;
  const VectorView query_;

  // What stays from page to page.
  SearchScratch search_;
  std::vector<PooledPoint> pool_;  // A heap, nearest on top.
  std::vector<MetPoint> met_;      // All that were scored.
  std::unordered_set<ExternalId> handed_out_;
  std::unordered_map<uint32_t, size_t> label_hits_;
  PageRows rows_ = PageRows::kTraversal;
  bool by_ranking_rows_ = false;  // Whether the traversal rows did not tell hits apart.
  size_t list_factor_ = 1;
  bool has_begun_ = false;
  bool has_all_ = false;  // Nothing is left to traverse.
  uint64_t retirements_ = 0;

  // Of one page.
  std::vector<Candidate> expanded_, within_, passed_;
  std::vector<PooledPoint> taken_;    // From the pool to the candidate list.
  std::vector<PooledPoint> chosen_;   // From the pool to be ranked,
  std::vector<PooledPoint> skipped_;  // and what was nearer and is not eligible.
  std::vector<Candidate> ranked_;
  std::vector<Hit> hits_;
};

// Behind Pages.
class PagesImpl {
 public:
  virtual ~PagesImpl() = default;
  virtual Result<size_t> Next(std::span<ExternalId> ids, std::span<float> distances,
                              WorkCounters* work) = 0;
  virtual size_t page_size() const = 0;
  virtual size_t bytes() const = 0;
  static Pages Make(std::unique_ptr<PagesImpl> impl) { return Pages(std::move(impl)); }
};

template <class Host>
Result<size_t> PagedSearch::Next(Host& host, std::span<ExternalId> ids,
                                 std::span<float> distances) {
  StopRequests requests(options_.stop, search_);
  const size_t most = std::max<size_t>(1, host.most());
  size_t list_size = std::min(std::max(options_.search_list_size, ids.size()), most);
  while (hits_.size() < ids.size()) {
    if (!has_all_) Find(host, list_size);
    if constexpr (requires { host.fetched(); }) {
      if (Status fetched = host.fetched(); !fetched) {
        Restart();
        return tl::unexpected(fetched.error());
      }
    }
    const Result<HandedOut> handed_out = HandOut(host, ids.size() - hits_.size(), list_size);
    if (!handed_out) return tl::unexpected(handed_out.error());
    if (*handed_out == HandedOut::kNone) break;
    if (*handed_out == HandedOut::kUntold) {
      requests.Ignore();
      continue;
    }
    if (search_.IsToEnd()) break;
    list_size = std::min(2 * list_size, most);  // What was found is deleted, refused, or too much.
  }
  std::stable_sort(hits_.begin(), hits_.end(),
                   [](const Hit& a, const Hit& b) { return a.distance < b.distance; });
  const size_t n = std::min(hits_.size(), ids.size());
  for (size_t i = 0; i < n; ++i) {
    ids[i] = hits_[i].id;
    if (!distances.empty()) distances[i] = hits_[i].distance;
  }
  hits_.erase(hits_.begin(), hits_.begin() + static_cast<ptrdiff_t>(n));
  return n;
}

// Plans the search. Returns its list size.
template <class Host>
size_t PagedSearch::Begin(Host& host, size_t list_size) {
  retirements_ = host.retirements();
  list_size += handed_out_.size();
  rows_ = by_ranking_rows_ ? PageRows::kRanking : PageRows::kTraversal;
  if (!filter_) return list_size;
  const auto look_up = [&](ExternalId id) { return host.LiveSlot(kNoSlot, id); };
  const Scorer probe = host.Bind(query_, PageRows::kTraversal);
  const size_t planned = host.WithView(PageRows::kTraversal, [&](const auto& view) {
    return PlanFiltered(view,
                        {filter_->node(), list_size, host.max_degree(), host.row_bytes(), probe},
                        look_up, host.work(), search_);
  });
  list_factor_ = planned / list_size;
  if (search_.filter->plan == FilterPlan::kScan && host.RanksInMemory()) rows_ = PageRows::kRanking;
  return planned;
}

template <class Host>
void PagedSearch::Find(Host& host, size_t list_size) {
  const size_t list = has_begun_ ? list_factor_ * list_size : Begin(host, list_size);
  host.WithView(rows_, [&](const auto& view) {
    if (!filter_) return FindIn(host, view, list);
    // The promise is one for each page.
    search_.filter->scored = search_.filter->refused = 0;
    search_.filter->are_judged = false;
    FindIn(host, FilteredView(view, filter_->node(), host.work(), *search_.filter), list);
    search_.filter->is_listed = false;
  });
}

template <class Host, class View>
void PagedSearch::FindIn(Host& host, const View& view, size_t list_size) {
  expanded_.clear();
  within_.clear();
  passed_.clear();
  const Scorer scorer = host.Bind(query_, rows_);
  Searcher searcher(view, scorer,
                    {.expanded = &expanded_,
                     .within = &within_,
                     .pass_through = &passed_,
                     .radius = std::numeric_limits<float>::infinity()},
                    host.work(), search_);
  if (!has_begun_) {
    searcher.FindNearest(list_size);  // After an exception it begins again.
    has_begun_ = true;
  } else {
    if (host.retirements() != retirements_) DropReused(host);
    Refill(host, list_size);
  }
  try {
    searcher.Resume();
    Absorb(host);
    if (!searcher.has_scored_all() && (!search_.best.full() || searcher.IsSpent())) {
      DropReused(host);
      searcher.ScoreAllLive();
    }
  } catch (...) {
    Absorb(host);
    throw;
  }
  Absorb(host);
  has_all_ = searcher.has_scored_all();
}

// The candidate list of the next page: the nearest of the pool.
template <class Host>
void PagedSearch::Refill(Host& host, size_t list_size) {
  CandidateList& best = search_.best;
  best.Reset(list_size);
  for (size_t eligible = 0; !pool_.empty() && eligible < list_size;) {
    PooledPoint point = Pop();
    if (!point.expanded && !host.IsReadable(point.slot, point.id)) {
      if (!point.eligible) continue;
      point.expanded = true;  // It may be live elsewhere; this slot's list is none of its own.
    }
    eligible += point.eligible ? 1 : 0;
    taken_.push_back(point);
  }
  for (const PooledPoint& point : taken_)
    if (point.expanded) best.Insert(point.distance, point.slot, point.eligible);
  while (best.HasUnexpanded()) best.PopUnexpanded();
  for (const PooledPoint& point : taken_)
    if (!point.expanded) best.Insert(point.distance, point.slot, point.eligible);
}

// To the pool: what the page took from it, and what it has scored.
template <class Host>
void PagedSearch::Absorb(Host& host) {
  std::sort(expanded_.begin(), expanded_.end(),
            [](const Candidate& a, const Candidate& b) { return a.slot < b.slot; });
  const auto is_expanded = [&](SlotId slot) {
    return std::binary_search(
        expanded_.begin(), expanded_.end(), Candidate{0, slot},
        [](const Candidate& a, const Candidate& b) { return a.slot < b.slot; });
  };
  for (; !taken_.empty(); taken_.pop_back()) {
    PooledPoint point = taken_.back();
    point.expanded = point.expanded || is_expanded(point.slot);
    Push(point);
  }
  const auto absorb = [&](std::vector<Candidate>& scored, bool eligible) {
    for (; !scored.empty(); scored.pop_back()) {
      const auto [distance, slot] = scored.back();
      const ExternalId id = host.IdOf(slot);
      // One that is not live may come back to the slot, where it must be met anew.
      if (eligible || host.IsLive(slot)) met_.push_back({slot, id});
      Push({distance, slot, id, eligible, is_expanded(slot)});
    }
  };
  absorb(within_, true);
  absorb(passed_, false);
}

// Slots may have been retired since the last look: what is in them now was not met.
template <class Host>
void PagedSearch::DropReused(Host& host) {
  const uint64_t retirements = host.retirements();
  std::erase_if(met_, [&](const MetPoint& m) { return !host.IsReadable(m.slot, m.id); });
  search_.visited.Reset(met_.size());
  for (const MetPoint& met : met_) search_.visited.Insert(met.slot);
  if (search_.filter != nullptr) {
    search_.filter->near.Reset(0);
    search_.filter->far.Reset(0);
  }
  std::erase_if(pool_, [&](PooledPoint& point) {
    if (host.IsReadable(point.slot, point.id)) return false;
    const std::optional<SlotId> slot =
        point.eligible ? host.LiveSlot(kNoSlot, point.id) : std::nullopt;
    if (!slot) return true;
    point.slot = *slot;
    point.expanded = true;  // Its edges are met where it is met again.
    return false;
  });
  const auto by_slot = [](const PooledPoint& a, const PooledPoint& b) { return a.slot < b.slot; };
  const auto same = [](const PooledPoint& a, const PooledPoint& b) {
    return a.slot == b.slot && a.id == b.id && a.eligible == b.eligible;
  };
  std::stable_sort(pool_.begin(), pool_.end(), by_slot);
  pool_.erase(std::unique(pool_.begin(), pool_.end(), same), pool_.end());
  std::make_heap(pool_.begin(), pool_.end(), [](const PooledPoint& a, const PooledPoint& b) {
    return a.distance > b.distance;
  });
  retirements_ = retirements;
}

// Whether the rows that were traversed tell the first k of ranked_ from what else is in the pool.
template <class Host>
bool PagedSearch::IsTold(Host& host, size_t k) const {
  if (rows_ == PageRows::kRanking || pool_.empty() || ranked_.empty()) return true;
  const size_t last = std::min(k, ranked_.size()) - 1;
  std::vector<float> estimates;
  estimates.reserve(chosen_.size());
  for (const PooledPoint& point : chosen_) estimates.push_back(point.distance);
  std::nth_element(estimates.begin(), estimates.begin() + static_cast<ptrdiff_t>(last),
                   estimates.end());
  return host.TellsApart(query_, {.kth = ranked_[last].distance,
                                  .early = estimates[last],
                                  .last = pool_.front().distance,
                                  .offset = 0});
}

// Hands out up to k of the nearest. kUntold: none yet.
template <class Host>
Result<PagedSearch::HandedOut> PagedSearch::HandOut(Host& host, size_t k, size_t list_size) {
  try {
    Choose(host, options_.max_per_label > 0 ? list_size : host.ToRank(k, list_size));
    if (chosen_.empty()) {
      PutBackChosen();
      return HandedOut::kNone;
    }
    ranked_.clear();
    for (const PooledPoint& point : chosen_) ranked_.push_back({point.distance, point.slot});
    Status ranked = host.Rank(query_, ranked_);
    const bool is_told = !ranked || search_.IsToEnd() || IsTold(host, k);
    if (ranked && is_told) TakeHits(host, k);
    PutBackChosen();
    if (!ranked) return tl::unexpected(ranked.error());
    if (is_told) return HandedOut::kSome;
    by_ranking_rows_ = true;
    Restart();
    return HandedOut::kUntold;
  } catch (...) {
    PutBackChosen();
    throw;
  }
}

// Moves the nearest eligible points from the pool to chosen_, each once: those that are live,
// accepted and not handed out.
template <class Host>
void PagedSearch::Choose(Host& host, size_t wanted) {
  while (chosen_.size() < wanted && !pool_.empty()) {
    const size_t before = chosen_.size();
    while (chosen_.size() < wanted && chosen_.size() < before + SearchScratch::kMaxIds &&
           !pool_.empty()) {
      PooledPoint point = Pop();
      if (!point.eligible) {
        skipped_.push_back(point);
        continue;
      }
      if (handed_out_.contains(point.id)) continue;
      const std::optional<SlotId> slot = host.LiveSlot(point.slot, point.id);
      if (!slot) continue;
      point.expanded = point.expanded || point.slot != *slot;
      point.slot = *slot;
      chosen_.push_back(point);
    }
    if (!filter_) continue;
    const size_t n = chosen_.size() - before;
    bool* const accepted = search_.eligible;
    for (size_t i = 0; i < n; ++i) search_.ids[i] = chosen_[before + i].slot;
    std::fill_n(accepted, n, true);
    host.WithView(rows_, [&](const auto& view) {
      FilteredView(view, filter_->node(), host.work(), *search_.filter)
          .Judge(search_.ids, n, accepted);
    });
    size_t kept = before;
    for (size_t i = 0; i < n; ++i)
      if (accepted[i]) chosen_[kept++] = chosen_[before + i];
    chosen_.resize(kept);
  }
  std::sort(chosen_.begin(), chosen_.end(),
            [](const PooledPoint& a, const PooledPoint& b) { return a.slot < b.slot; });
  const auto last = std::unique(chosen_.begin(), chosen_.end(),
                                [](const auto& a, const auto& b) { return a.slot == b.slot; });
  chosen_.erase(last, chosen_.end());
}

// The first k of ranked_ that there is a place for become hits; chosen_ keeps what is for later.
template <class Host>
void PagedSearch::TakeHits(Host& host, size_t k) {
  std::vector<PooledPoint> later;
  size_t hits = 0;
  for (const Candidate& candidate : ranked_) {
    const auto at =
        std::lower_bound(chosen_.begin(), chosen_.end(), candidate.slot,
                         [](const PooledPoint& point, SlotId slot) { return point.slot < slot; });
    if (hits == k) {
      later.push_back(*at);
      continue;
    }
    if (handed_out_.contains(at->id)) continue;  // While it is replaced it is live in two slots.
    if (options_.max_per_label > 0 && !TakePlaces(host.LabelsOf(candidate.slot))) continue;
    handed_out_.insert(at->id);
    hits_.push_back({at->id, candidate.distance});
    ++hits;
  }
  chosen_ = std::move(later);
}

}  // namespace shoal
