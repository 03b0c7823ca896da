// The parts of a vector set, and which thread changes what.
//
// An element's vector is in one of three places:
//   linkable tail   a block of its own, which searches compare; waits for Link, or is in its hands
//   graph           shoal::Index has it, and `Element::vector` is null
//   zeros           the zero vector, which has no direction. Where the dimension is beyond the
//                   Index's no vector leaves its block, and there is no tail
//
// A search that uses the graph first compares the tail, then searches the graph: a vector goes from
// the one to the other, and is in the graph before it leaves the tail. An element that is updated
// goes from the graph back to the tail, so that the search may miss it in both. So updates are
// logged, and a search compares in the end those that were logged since it began.
//
// A vector that was removed while Link had it comes into the graph all the same. Link finds that
// the table does not have its id any more, and deletes it there. Until then searches skip it, as
// they skip every id that the table does not have.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "element_table.h"
#include "name_order.h"
#include "reclaimer.h"
#include "shoal/index.h"
#include "tail.h"
#include "vector_set.h"

namespace shoal::vset {

class VectorSet::Impl {
 public:
  Impl(const VectorSetOptions& options, Encoding encoding)
      : options_(options), encoding_(std::move(encoding)) {}
  ~Impl();

  // As in VectorSet.
  AddOutcome Add(std::string_view name, const EncodedView& vector,
                 std::optional<std::string_view> attribute);
  bool Remove(std::string_view name);
  bool SetAttribute(std::string_view name, std::string_view attribute);
  const Element* Find(std::string_view name) const;
  std::vector<std::string> RandomMembers(size_t count, Repeats repeats, uint64_t seed) const;
  std::vector<std::string> Range(const NameBound& first, const NameBound& last, size_t limit) const;
  void ForEach(const std::function<void(const ElementView&)>& visit) const;

  Result<std::vector<Found>> Search(const EncodedView& query, const SearchRequest& request) const;

  size_t Unlinked() const;
  // The Index has room for so many dimensions, and the set is large enough.
  bool WantsGraph() const;
  Result<bool> LinkOne();  // False: none waits.
  bool TailIsFull() const;
  bool NeedsMaintenance() const;
  Status Maintain();

  VectorSetMemory Memory() const;
  VectorSetInfo Info() const;
  const VectorSetOptions& options() const { return options_; }
  const Encoding& encoding() const { return encoding_; }
  size_t size() const { return size_.load(std::memory_order_relaxed); }

  // The vector of an element that a guard keeps: its own block, or a copy in `buffer`, which has
  // encoding().bytes() bytes. False: it was removed or updated meanwhile.
  bool VectorOf(const Element& element, std::span<std::byte> buffer, EncodedView& vector) const;
  Reclaimer::Guard Pin() const { return reclaimer_.Pin(); }

 private:
  friend class SetSearch;

  // Updates that searches can look up: the slots of the last so many.
  static constexpr size_t kLoggedUpdates = 1024;

  std::optional<WorkGate::Pass> EnterGate() const {
    if (options_.gate == nullptr) return std::nullopt;
    return options_.gate->Enter();
  }
  Index* index() const { return index_.load(std::memory_order_acquire); }
  VectorView ViewOf(const std::byte* bytes) const;
  Status EnsureGraph();
  std::optional<Tail::Kind> KindOf(const Element& element) const;
  // Of a new element, or of the place of one that is there. `old` leaves the tail.
  void Replace(Slot slot, Element* old, Element* fresh);
  void Publish(Slot slot, Element* element);
  // Takes the element from the tail; frees its vector. Returns whether the graph has it.
  bool Withdraw(Element& element);
  void RetireElement(Element* element);
  void CountBytes(std::ptrdiff_t change) {
    element_bytes_.fetch_add(static_cast<size_t>(change), std::memory_order_relaxed);
  }
  std::byte* CopyVector(const EncodedView& vector);

  const VectorSetOptions options_;
  const Encoding encoding_;

  // Changed by the owner, under the mutex where others look.
  ElementTable table_;
  std::atomic<size_t> size_ = 0;
  std::atomic<size_t> attributes_ = 0;
  std::atomic<size_t> element_bytes_ = 0;  // Elements and vectors of the tail, retired ones too.
  std::atomic<uint64_t> added_ = 0;

  // Owner only.
  NameOrder order_{table_};

  std::unique_ptr<Index> owned_index_;
  std::atomic<Index*> index_ = nullptr;

  mutable std::mutex mutex_;
  // Under the mutex.
  Tail tail_{table_};
  Reclaimer reclaimer_;  // But Pin and bytes.
  std::array<Slot, kLoggedUpdates> updated_{};
  uint64_t updates_ = 0;  // Ever logged; the i-th is updated_[i % kLoggedUpdates].
};

}  // namespace shoal::vset
