// The vectors of a set that the graph does not have.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "element_table.h"

namespace shoal::vset {

// Those that wait to be linked and those that are being linked, and those that no graph can hold.
// Everything under the set's mutex. An element's `position` is its place here.
class Tail {
 public:
  explicit Tail(const ElementTable& table) : table_(table) {}

  enum class Kind : uint8_t { kLinkable, kZero };

  // The element is in the table.
  void Add(Element& element, Kind kind) {
    std::vector<VectorId>& list = kind == Kind::kLinkable ? linkable_ : zeros_;
    element.position = static_cast<uint32_t>(list.size());
    list.push_back(element.id);
  }
  // An element that is in the table and here.
  void Remove(const Element& element, Kind kind) {
    if (kind == Kind::kZero) return RemoveAt(zeros_, element.position);
    size_t position = element.position;
    if (position < busy_) {  // Its place goes to the last busy one.
      --busy_;
      Exchange(position, busy_);
      position = busy_;
    }
    RemoveAt(linkable_, position);
  }
  // One that waits; it is being linked from now on.
  std::optional<VectorId> TakeWaiting() {
    if (busy_ == linkable_.size()) return std::nullopt;
    return linkable_[busy_++];
  }
  // It waits again. As Remove.
  void PutBack(const Element& element) { Exchange(element.position, --busy_); }

  size_t waiting() const { return linkable_.size() - busy_; }
  size_t size() const { return linkable_.size() + zeros_.size(); }
  size_t linkable() const { return linkable_.size(); }
  std::span<const VectorId> linkable_ids() const { return linkable_; }
  std::span<const VectorId> zero_ids() const { return zeros_; }
  size_t bytes() const { return (linkable_.capacity() + zeros_.capacity()) * sizeof(VectorId); }

 private:
  void Place(std::vector<VectorId>& list, size_t position, VectorId id) {
    list[position] = id;
    table_.At(SlotOf(id))->position = static_cast<uint32_t>(position);
  }
  void Exchange(size_t a, size_t b) {
    const VectorId at_a = linkable_[a];
    Place(linkable_, a, linkable_[b]);
    Place(linkable_, b, at_a);
  }
  void RemoveAt(std::vector<VectorId>& list, size_t position) {
    if (position + 1 != list.size()) Place(list, position, list.back());
    list.pop_back();
  }

  const ElementTable& table_;
  std::vector<VectorId> linkable_;  // First those that are being linked,
  size_t busy_ = 0;                 // so many.
  std::vector<VectorId> zeros_;
};

}  // namespace shoal::vset
