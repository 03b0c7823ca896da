// A view's searches in pages.
#include <new>

#include "graph/rerank.h"
#include "index_codes.h"
#include "index_view_impl.h"
#include "paged_search.h"
#include "search_calls.h"

namespace shoal {

// The view for one page. Nothing in it changes.
class IndexViewImpl::PageHost {
 public:
  PageHost(const IndexViewImpl& view, EpochRegistry::Guard& guard, size_t rerank)
      : view_(view), work_(guard.work), scratch_(view.ScratchOf(guard)), rerank_(rerank) {}

  WorkCounters& work() { return work_; }
  template <class Visit>
  decltype(auto) WithView(PageRows rows, const Visit& visit) const {
    const OpenSnapshot& snapshot = view_.snapshot_;
    return visit(SnapshotView(
        snapshot, rows == PageRows::kRanking ? snapshot.RankingRows() : snapshot.TraversalRows()));
  }
  ExternalId IdOf(SlotId slot) const { return view_.snapshot_.ids[slot]; }
  std::span<const uint32_t> LabelsOf(SlotId slot) const { return view_.snapshot_.labels.Of(slot); }
  Scorer Bind(VectorView query, PageRows rows) {
    return IndexViewImpl::Bind(
        rows == PageRows::kRanking ? view_.ranking() : *view_.codecs_.traversal, query,
        scratch_.query_buffer);
  }
  bool IsReadable(SlotId, ExternalId) const { return true; }
  bool IsLive(SlotId slot) const { return slot < view_.size(); }
  std::optional<SlotId> LiveSlot(SlotId slot, ExternalId id) const {
    if (slot == kNoSlot) slot = view_.Find(id);
    return slot == kNoSlot ? std::nullopt : std::optional(slot);
  }
  uint64_t retirements() const { return 0; }
  Status Rank(VectorView query, std::vector<Candidate>& ranked) {
    scratch_.search.ranked = ranked;
    Status done;
    if (view_.stored_ != nullptr) {
      done = view_.RankByStore(query, work_, scratch_);
    } else {
      Rerank(view_.snapshot_.RankingRows().rows,
             IndexViewImpl::Bind(view_.ranking(), query, scratch_.rerank_buffer), work_,
             scratch_.search);
    }
    ranked = scratch_.search.ranked;
    return done;
  }
  size_t ToRank(size_t k, size_t list_size) const {
    return view_.reranks() ? CandidatesToRerank(view_.options().code, rerank_, k, list_size) : k;
  }
  bool TellsApart(VectorView query, EstimatedHits hits) const {
    const Codec& codec = *view_.codecs_.traversal;
    hits.offset = OffsetOf(view_.options(), codec, query);
    // Vectors of a store are fetched for hits alone.
    return !view_.snapshot_.has_rerank() || !YieldsToRerankRows(view_.options().code) ||
           CodesTellApart(codec, query, hits);
  }
  bool RanksInMemory() const { return view_.stored_ == nullptr; }
  size_t most() const { return view_.snapshot_.header.entries(); }
  size_t max_degree() const { return view_.options().max_degree; }
  FilteredRowBytes row_bytes() const { return view_.FilteredRows(); }

 private:
  const IndexViewImpl& view_;
  WorkCounters& work_;
  ViewScratch& scratch_;
  const size_t rerank_;
};

Result<size_t> IndexViewImpl::NextPage(PagedSearch& pages, std::span<ExternalId> ids,
                                       std::span<float> distances, WorkCounters* work) const {
  try {
    auto guard = epochs_.Pin();
    PageHost host(*this, guard, pages.rerank());
    Result<size_t> hits = pages.Next(host, ids, distances);
    if (work != nullptr) *work = guard.work;
    return hits;
  } catch (const std::bad_alloc&) {
    return NoMemory("search");
  } catch (const PredicateThrew& threw) {
    return ErrorOf(threw);
  }
}

class IndexViewImpl::ViewPages final : public PagesImpl {
 public:
  ViewPages(const IndexViewImpl& view, VectorView query, const SearchOptions& options)
      : view_(view), search_(query, options) {}
  Result<size_t> Next(std::span<ExternalId> ids, std::span<float> distances,
                      WorkCounters* work) override {
    return view_.NextPage(search_, ids, distances, work);
  }
  size_t page_size() const override { return search_.page_size(); }
  size_t bytes() const override { return search_.bytes(); }

 private:
  const IndexViewImpl& view_;
  PagedSearch search_;
};

Result<Pages> IndexViewImpl::SearchPages(VectorView query, const SearchOptions& options) const {
  if (Status ok = check_.Vector(query, "query"); !ok) return tl::unexpected(ok.error());
  if (Status ok = CheckOptions(options); !ok) return tl::unexpected(ok.error());
  try {
    return PagesImpl::Make(std::make_unique<ViewPages>(*this, query, options));
  } catch (const std::bad_alloc&) {
    return NoMemory("search");
  }
}

Result<size_t> IndexViewImpl::SearchDiverse(VectorView query, const SearchOptions& options,
                                            std::span<ExternalId> ids, std::span<float> distances,
                                            WorkCounters* work) const {
  try {
    PagedSearch pages(query, options);
    return NextPage(pages, ids.first(options.k), distances, work);
  } catch (const std::bad_alloc&) {
    return NoMemory("search");
  }
}

Result<Pages> IndexView::SearchPages(VectorView query, const SearchOptions& options) const {
  return impl_->SearchPages(query, options);
}

}  // namespace shoal
