// Searches: over the tail and the graph, or over everything.
#include <algorithm>
#include <iterator>
#include <limits>
#include <new>
#include <string>
#include <utility>

#include "vector_set_impl.h"

namespace shoal::vset {
namespace {

// More than `count` is asked of the graph, for hits that are removed or updated meanwhile.
constexpr size_t kSpareHits = 8;
// A tail of more than one in so many elements is no tail: everything is compared.
constexpr size_t kTailShare = 4;
// Elements that an exact search compares without leaving the gate.
constexpr Slot kScanBatch = 256;
// Of the zero vector, and to it.
constexpr double kZeroScore = 0.5;

size_t Plus(size_t a, size_t b) { return a > SIZE_MAX - b ? SIZE_MAX : a + b; }

}  // namespace

// One search. It holds a guard, so every element that it finds stays.
class SetSearch {
 public:
  SetSearch(const VectorSet::Impl& set, const EncodedView& query, const SearchRequest& request)
      : set_(set),
        encoding_(set.encoding_),
        query_(query),
        request_(request),
        guard_(set.Pin()),
        judges_late_(request.filter != nullptr && request.filter_ef != 0),
        capacity_(judges_late_ ? request.filter_ef : request.count),
        buffer_(encoding_.bytes()) {}

  Result<std::vector<Found>> Run() {
    if (Status done = UsesGraph() ? SearchGraph() : CompareAll(); !done)
      return tl::unexpected(done.error());
    return Report();
  }

 private:
  struct Candidate {
    double score;
    const Element* element;
  };
  enum class Judged : uint8_t { kNo, kYes };

  bool IsBetter(const Candidate& a, const Candidate& b) const {
    if (a.score != b.score) return encoding_.IsNearer(a.score, b.score);
    return a.element->name() < b.element->name();
  }
  auto Better() const {
    return [this](const Candidate& a, const Candidate& b) { return IsBetter(a, b); };
  }

  bool IsWithinEpsilon(double score) const {
    if (!request_.epsilon) return true;
    switch (encoding_.options().similarity) {
      case Similarity::kCosine: return 1 - score <= *request_.epsilon;
      case Similarity::kL2: return score <= *request_.epsilon;
      case Similarity::kInnerProduct: break;
    }
    return score >= *request_.epsilon;
  }

  // Keeps the best `capacity_`; the worst of them is in front.
  void Offer(double score, const Element* element, Judged judged) {
    const Candidate candidate{score, element};
    if (!IsWithinEpsilon(score)) return;
    const bool is_full = best_.size() == capacity_;
    if (is_full && !IsBetter(candidate, best_.front())) return;
    if (request_.filter != nullptr && !judges_late_ && judged == Judged::kNo &&
        !request_.filter->Matches(element->attribute()))
      return;
    if (is_full) {
      std::ranges::pop_heap(best_, Better());
      best_.pop_back();
    }
    best_.push_back(candidate);
    std::ranges::push_heap(best_, Better());
  }

  // The score of what is in the slot now; nothing if that was removed.
  void CompareSlot(Slot slot) {
    // Again if it is updated between the two reads.
    while (const Element* element = set_.table_.At(slot)) {
      EncodedView vector;
      if (!set_.VectorOf(*element, buffer_, vector)) {
        if (set_.table_.At(slot) == element) return;  // Removed from the graph: going.
        continue;
      }
      return Offer(encoding_.Score(query_, vector), element, Judged::kNo);
    }
  }

  bool UsesGraph() {
    if (set_.index() == nullptr || request_.scan == SearchRequest::Scan::kExact ||
        !encoding_.IsIndexable(query_))
      return false;
    const std::lock_guard lock(set_.mutex_);
    if (set_.tail_.linkable() > set_.size() / kTailShare + kMaxTail) return false;
    tail_.assign(set_.tail_.linkable_ids().begin(), set_.tail_.linkable_ids().end());
    zeros_.assign(set_.tail_.zero_ids().begin(), set_.tail_.zero_ids().end());
    updates_ = set_.updates_;
    return true;
  }

  Status CompareAll() {
    for (Slot slot = 0; slot < set_.table_.end();) {
      const auto pass = set_.EnterGate();
      const Slot end = std::min(set_.table_.end(), slot + kScanBatch);
      for (; slot < end; ++slot) CompareSlot(slot);
    }
    return {};
  }

  Status SearchGraph() {
    CompareTail();
    if (Status graph = AskGraph(); !graph) return graph;
    CompareUpdated();
    for (const VectorId id : zeros_)
      if (const Element* element = set_.table_.Find(id)) Offer(kZeroScore, element, Judged::kNo);
    return {};
  }

  void CompareTail() {
    for (VectorId& id : tail_) {
      const Element* const element = set_.table_.Find(id);
      const std::byte* const bytes =
          element == nullptr ? nullptr : element->vector.load(std::memory_order_acquire);
      if (bytes != nullptr) {
        const EncodedView vector{{bytes, encoding_.bytes()}, element->norm, element->range};
        Offer(encoding_.Score(query_, vector), element, Judged::kNo);
      } else {
        id = kLinkedMeanwhile;
      }
    }
  }

  Status AskGraph() {
    const Index& graph = *set_.index();
    const size_t points = std::max<size_t>(graph.size(), 1);
    const size_t k = std::min(Plus(capacity_, kSpareHits), points);
    const Filter filter = Filter::Where([this](auto ids, auto accepted) { Judge(ids, accepted); });
    const bool judges_early = request_.filter != nullptr && !judges_late_;
    std::vector<ExternalId> ids(k);
    std::vector<float> distances(k);
    const auto found = graph.Search(set_.ViewOf(query_.bytes.data()),
                                    {.k = k,
                                     .search_list_size = std::min(std::max(request_.ef, k), points),
                                     .filter = judges_early ? &filter : nullptr},
                                    ids, distances);
    if (!found) return tl::unexpected(found.error());
    ids.resize(*found);
    const std::vector<VectorId> compared = ComparedOf(ids);
    for (size_t i = 0; i < ids.size(); ++i) {
      const Element* const element = set_.table_.Find(ids[i]);
      if (element == nullptr || std::ranges::binary_search(compared, ids[i])) continue;
      Offer(encoding_.ScoreOfDistance(distances[i]), element, Judged::kYes);
    }
    return {};
  }

  // Those of the hits that were compared in the tail, and linked since; sorted. There are few hits
  // and perhaps many in the tail, which is passed over once.
  std::vector<VectorId> ComparedOf(std::vector<VectorId> hits) const {
    std::ranges::sort(hits);
    std::vector<VectorId> compared;
    std::ranges::copy_if(tail_, std::back_inserter(compared),
                         [&](VectorId id) { return std::ranges::binary_search(hits, id); });
    std::ranges::sort(compared);
    return compared;
  }

  void Judge(std::span<const ExternalId> ids, std::span<uint8_t> accepted) const {
    for (size_t i = 0; i < ids.size(); ++i) {
      const Element* const element = set_.table_.Find(ids[i]);
      accepted[i] = element != nullptr && request_.filter->Matches(element->attribute()) ? 1 : 0;
    }
  }

  // What was updated since the search began may have been in the graph before, and in the tail or
  // the graph too late.
  void CompareUpdated() {
    std::vector<Slot> slots;
    {
      const std::lock_guard lock(set_.mutex_);
      const uint64_t logged = std::min<uint64_t>(set_.updates_ - updates_, set_.kLoggedUpdates);
      for (uint64_t i = set_.updates_ - logged; i < set_.updates_; ++i)
        slots.push_back(set_.updated_[i % set_.kLoggedUpdates]);
    }
    if (slots.empty()) return;
    std::ranges::sort(slots);
    slots.erase(std::unique(slots.begin(), slots.end()), slots.end());
    std::erase_if(best_, [&](const Candidate& candidate) {
      return std::ranges::binary_search(slots, SlotOf(candidate.element->id));
    });
    std::ranges::make_heap(best_, Better());
    const auto pass = set_.EnterGate();
    for (const Slot slot : slots) CompareSlot(slot);
  }

  std::vector<Found> Report() {
    std::ranges::sort_heap(best_, Better());
    std::vector<Found> found;
    found.reserve(std::min(best_.size(), request_.count));
    for (const auto& [score, element] : best_) {
      if (found.size() == request_.count) break;
      if (judges_late_ && !request_.filter->Matches(element->attribute())) continue;
      found.push_back({std::string(element->name()), score, std::string(element->attribute())});
    }
    return found;
  }

  // No vector's id in the tail: of the slot that is never given.
  static constexpr VectorId kLinkedMeanwhile = std::numeric_limits<VectorId>::max();

  const VectorSet::Impl& set_;
  const Encoding& encoding_;
  const EncodedView query_;
  const SearchRequest& request_;
  const Reclaimer::Guard guard_;
  const bool judges_late_;  // The filter is asked about the nearest only.
  const size_t capacity_;
  std::vector<std::byte> buffer_;
  std::vector<Candidate> best_;  // A heap.
  std::vector<VectorId> tail_;   // Those that were compared.
  std::vector<VectorId> zeros_;
  uint64_t updates_ = 0;  // Logged when the search began.
};

Result<std::vector<Found>> VectorSet::Impl::Search(const EncodedView& query,
                                                   const SearchRequest& request) const {
  try {
    return SetSearch(*this, query, request).Run();
  } catch (const std::bad_alloc&) {
    return MakeError(ErrorCode::kOutOfMemory, "search: no memory for the candidates");
  }
}

Result<std::vector<Found>> VectorSet::Search(const EncodedView& query,
                                             const SearchRequest& request) const {
  if (query.bytes.size() != encoding().bytes()) {
    return MakeError(ErrorCode::kInvalidArgument, "query: " + std::to_string(encoding().bytes()) +
                                                      " bytes expected, found " +
                                                      std::to_string(query.bytes.size()));
  }
  if (request.count == 0)
    return MakeError(ErrorCode::kInvalidArgument, "count: at least 1 expected");
  if (request.ef == 0) return MakeError(ErrorCode::kInvalidArgument, "ef: at least 1 expected");
  return impl_->Search(query, request);
}

}  // namespace shoal::vset
