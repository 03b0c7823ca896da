// The index's searches with a filter.
#include <new>

#include "filtered_search.h"
#include "graph/rerank.h"
#include "index_codes.h"
#include "index_impl.h"

namespace shoal {

size_t IndexImpl::Plan(const Representation& rows, const FilteredSearchOptions& search,
                       Operation& op) const {
  const auto look_up = [&](ExternalId id) { return LiveSlotOf(id); };
  return graph_.WithView(rows, op.scratch.fetch, [&](const auto& view) {
    return PlanFiltered(view, search, look_up, op.work, op.scratch.search);
  });
}

// Returns whether it has scored all points that are accepted.
bool IndexImpl::FindFiltered(VectorView query, const Representation& rows, const FilterNode& filter,
                             size_t list_size, Operation& op) const {
  const Scorer scorer = rows.codec.BindQuery(query, op.scratch.query_buffer.data());
  return graph_.WithView(rows, op.scratch.fetch, [&](const auto& view) {
    const FilteredView filtered(view, filter, op.work, *op.scratch.search.filter);
    Searcher searcher(filtered, scorer, {}, op.work, op.scratch.search);
    searcher.FindNearest(list_size);
    return searcher.has_scored_all();
  });
}

// A scan is exact where the vectors are in memory.
FilteredRowBytes IndexImpl::FilteredRows() const {
  const size_t traversed = rows_.traversal().codec.row_bytes();
  return {rows_.stored() == nullptr ? rows_.ranking().codec.row_bytes() : traversed, traversed};
}

// A traversal reads the traversal rows, and the nearest are reranked. A scan reads the rows that
// order hits, where these are in memory: it scores few points, and so exactly. Where the codes do
// not tell points apart, the same plan is carried out once more, over the vectors.
Result<size_t> IndexImpl::SearchFiltered(VectorView query, const SearchOptions& options,
                                         const SearchOutput& output) const {
  const FilterNode& filter = options.filter->node();
  try {
    auto guard = epochs_.Pin();
    Operation op(guard, rows_.buffer_bytes());
    SearchScratch& search = op.scratch.search;
    StopRequests requests(options.stop, search);
    const size_t most = std::max<size_t>(1, slots_.high_water());
    const size_t k = std::min(options.k, most);
    size_t list_size = std::min(std::max(options.search_list_size, k), most);
    size_t hits = 0;
    for (;; list_size = std::min(2 * list_size, most)) {
      const Representation traversal = rows_.traversal();
      const Scorer probe = traversal.codec.BindQuery(query, op.scratch.query_buffer.data());
      const size_t list = std::min(
          most,
          Plan(traversal, {filter, list_size, options_.max_degree, FilteredRows(), probe}, op));
      const bool is_exact = search.filter->plan == FilterPlan::kScan && rows_.stored() == nullptr;
      const bool has_scored_all =
          FindFiltered(query, is_exact ? rows_.ranking() : traversal, filter, list, op);
      requests.Ignore();
      if (!op.fetched()) return tl::unexpected(op.fetched().error());
      const bool reranks = rows_.has_rerank() && !is_exact;
      // Where a traversal has ended in a scan, hits may be far away, and codes tell far points less
      // well apart: all of the list is reranked.
      const size_t ranked = reranks && !has_scored_all
                                ? CandidatesToRerank(options_.code, options.rerank, k, list_size)
                                : list;
      bool is_told = true;
      if (reranks) {
        const Result<bool> told = Rank(query, {k, ranked, options.rerank}, op);
        if (!told) return tl::unexpected(told.error());
        is_told = *told;
      } else {
        RankByList(ranked, search);
      }
      if (!is_told && !requests.IsStopped()) {
        search.filter->Restart(list_size);
        FindFiltered(query, *graph_.vectors(), filter, list, op);
        if (!op.fetched()) return tl::unexpected(op.fetched().error());
        RankByList(list, search);
        SortRanked(search);
      }
      hits = CollectHits(k, output.ids, output.distances, op.scratch);
      // As in a search without a filter: some ids are there twice.
      if (hits == k || search.ranked.size() < ranked || list_size >= most || requests.IsStopped())
        break;
    }
    if (output.work != nullptr) *output.work = guard.work;
    return hits;
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "search");
  } catch (const PredicateThrew& threw) {
    return ErrorOf(threw);
  }
}

void IndexImpl::FindWithinFiltered(const Representation& rows, const Scorer& scorer,
                                   size_t list_size, const RangeOptions& options,
                                   Operation& op) const {
  SearchScratch& search = op.scratch.search;
  const FilterNode& filter = options.filter->node();
  const size_t list = Plan(rows,
                           {filter,
                            list_size,
                            options_.max_degree,
                            {rows.codec.row_bytes(), rows.codec.row_bytes()},
                            scorer},
                           op);
  graph_.WithView(rows, op.scratch.fetch, [&](const auto& view) {
    const FilteredView filtered(view, filter, op.work, *search.filter);
    FindWithin(filtered, scorer, list, options.radius, op.work, search);
  });
}

}  // namespace shoal
