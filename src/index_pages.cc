// The index's searches in pages.
#include <new>
#include <type_traits>

#include "graph/rerank.h"
#include "index_codes.h"
#include "index_impl.h"
#include "paged_search.h"
#include "search_calls.h"

namespace shoal {

// The index for one page, under the page's guard. `RowsType`: of a view, Rows or FetchingRows.
template <class RowsType>
class IndexImpl::PageHost {
 public:
  PageHost(const IndexImpl& index, EpochRegistry::Guard& guard)
      : index_(index), op_(guard, index.rows_.buffer_bytes()) {}

  WorkCounters& work() { return op_.work; }
  Status fetched() const { return op_.fetched(); }
  LiveViewOf<RowsType> ViewOf(PageRows rows) {
    if constexpr (std::is_same_v<RowsType, FetchingRows>) {
      return index_.graph_.View(FetchingRows(*Of(rows).fetched, op_.scratch.fetch));
    } else {
      return index_.graph_.View(Of(rows).rows());
    }
  }
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
    // `rerank` is given when the search begins.
    return index_.rows_.has_rerank()
               ? CandidatesToRerank(index_.options_.code, rerank, k, list_size)
               : k;
  }
  bool RanksInMemory() const { return index_.rows_.stored() == nullptr; }
  size_t most() const { return index_.slots_.high_water(); }
  size_t max_degree() const { return index_.options_.max_degree; }

  size_t rerank = 0;  // SearchOptions::rerank.

 private:
  Representation Of(PageRows rows) const {
    return rows == PageRows::kRanking ? index_.rows_.ranking() : index_.rows_.traversal();
  }
  const IndexImpl& index_;
  Operation op_;
};

Result<size_t> IndexImpl::NextPage(PagedSearch& pages, const SearchOutput& output) const {
  try {
    auto guard = epochs_.Pin();
    const auto next = [&](auto&& host) {
      host.rerank = pages.rerank();
      return pages.Next(host, output.ids, output.distances);
    };
    Result<size_t> hits = rows_.are_fetched() ? next(PageHost<FetchingRows>(*this, guard))
                                              : next(PageHost<Rows>(*this, guard));
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
