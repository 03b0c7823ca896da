// The index's searches in pages.
#include <new>

#include "graph/rerank.h"
#include "index_codes.h"
#include "index_impl.h"
#include "paged_search.h"
#include "search_calls.h"

namespace shoal {

// The index for one page, under the page's guard.
class IndexImpl::PageHost {
 public:
  PageHost(const IndexImpl& index, EpochRegistry::Guard& guard, size_t rerank)
      : index_(index), op_(guard, index.rows_.buffer_bytes()), rerank_(rerank) {}

  WorkCounters& work() { return op_.work; }
  Status fetched() const { return op_.fetched(); }
  template <class Visit>
  decltype(auto) WithView(PageRows rows, const Visit& visit) {
    return index_.graph_.WithView(Of(rows), op_.scratch.fetch, visit);
  }
  ExternalId IdOf(SlotId slot) const { return index_.slots_.external_id(slot); }
  std::span<const uint32_t> LabelsOf(SlotId slot) const { return index_.slots_.labels().Of(slot); }
  Scorer Bind(VectorView query, PageRows rows) {
    return Of(rows).codec.BindQuery(query, op_.scratch.query_buffer.data());
  }
  bool IsReadable(SlotId slot, ExternalId id) const {
    const SlotTable& slots = index_.slots_;
    return slot < slots.high_water() && shoal::IsReadable(slots.tag(slot)) &&
           slots.external_id(slot) == id;
  }
  bool IsLive(SlotId slot) const { return index_.slots_.tag(slot) == Tag::kLive; }
  std::optional<SlotId> LiveSlot(SlotId slot, ExternalId id) const {
    const SlotTable& slots = index_.slots_;
    if (slot != kNoSlot && slot < slots.high_water() && slots.tag(slot) == Tag::kLive &&
        slots.external_id(slot) == id)
      return slot;
    return index_.LiveSlotOf(id);
  }
  uint64_t retirements() const { return index_.slots_.retires(); }
  Status Rank(VectorView query, std::vector<Candidate>& ranked) {
    std::vector<Candidate>& list = op_.scratch.search.ranked;
    list = ranked;
    Status done = index_.RerankFor(query, op_);
    ranked = list;
    return done;
  }
  size_t ToRank(size_t k, size_t list_size) const {
    return index_.rows_.has_rerank()
               ? CandidatesToRerank(index_.options_.code, rerank_, k, list_size)
               : k;
  }
  bool TellsApart(VectorView query, EstimatedHits hits) const {
    const Codec& codec = index_.rows_.traversal().codec;
    hits.offset = OffsetOf(index_.options_, codec, query);
    return !index_.graph_.vectors() || CodesTellApart(codec, query, hits);
  }
  bool RanksInMemory() const { return index_.rows_.stored() == nullptr; }
  size_t most() const { return index_.slots_.high_water(); }
  size_t max_degree() const { return index_.options_.max_degree; }
  FilteredRowBytes row_bytes() const { return index_.FilteredRows(); }

 private:
  Representation Of(PageRows rows) const {
    const PointRows& all = index_.rows_;
    return rows == PageRows::kRanking && all.has_rerank() ? *all.rerank() : all.traversal();
  }
  const IndexImpl& index_;
  Operation op_;
  const size_t rerank_;  // SearchOptions::rerank.
};

Result<size_t> IndexImpl::NextPage(PagedSearch& pages, const SearchOutput& output) const {
  try {
    auto guard = epochs_.Pin();
    PageHost host(*this, guard, pages.rerank());
    Result<size_t> hits = pages.Next(host, output.ids, output.distances);
    if (output.work != nullptr) *output.work = guard.work;
    return hits;
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "search");
  } catch (const PredicateThrew& threw) {
    return ErrorOf(threw);
  }
}

class IndexImpl::IndexPages final : public PagesImpl {
 public:
  IndexPages(const IndexImpl& index, VectorView query, const SearchOptions& options)
      : index_(index), search_(query, options) {}
  Result<size_t> Next(std::span<ExternalId> ids, std::span<float> distances,
                      WorkCounters* work) override {
    return index_.NextPage(search_, {ids, distances, work});
  }
  size_t page_size() const override { return search_.page_size(); }
  size_t bytes() const override { return search_.bytes(); }

 private:
  const IndexImpl& index_;
  PagedSearch search_;
};

Result<Pages> IndexImpl::SearchPages(VectorView query, const SearchOptions& options) const {
  if (Status valid = check_.Vector(query, "query"); !valid) return tl::unexpected(valid.error());
  if (Status ok = CheckOptions(options); !ok) return tl::unexpected(ok.error());
  try {
    return PagesImpl::Make(std::make_unique<IndexPages>(*this, query, options));
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "search");
  }
}

// One page is what such a search finds: it goes on until it has k hits, or has met all points.
Result<size_t> IndexImpl::SearchDiverse(VectorView query, const SearchOptions& options,
                                        const SearchOutput& output) const {
  try {
    PagedSearch pages(query, options);
    SearchOutput page = output;
    page.ids = output.ids.first(options.k);
    return NextPage(pages, page);
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "search");
  }
}

Result<Pages> Index::SearchPages(VectorView query, const SearchOptions& options) const {
  return impl_->SearchPages(query, options);
}

}  // namespace shoal
