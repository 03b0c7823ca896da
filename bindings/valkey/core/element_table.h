// The elements of a set, by slot. Searches read it while the owner changes it.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "encoding.h"

namespace shoal::vset {

using Slot = uint32_t;

// A vector's id in the graph: the slot of its element, and a number that no other vector of that
// slot has. An element that gets another vector gets another id.
using VectorId = uint64_t;
constexpr VectorId MakeVectorId(uint32_t version, Slot slot) {
  return uint64_t{version} << 32 | slot;
}
constexpr Slot SlotOf(VectorId id) { return static_cast<Slot>(id); }

// What malloc takes beside a block. (An estimate, for accounting.)
inline constexpr size_t kBlockOverhead = 16;

// An element, in one block with its name and attribute. Only the fields at the end change.
struct Element {
  VectorId id;
  float norm;
  float range;
  uint32_t name_size;
  uint32_t attribute_size;
  // The encoded vector, in a block of operator new of its own, as long as the graph does not have
  // it; then null. The graph has it before it becomes null.
  std::atomic<std::byte*> vector;
  uint32_t position;  // In a list of the tail. Guarded by the set's mutex.

  static size_t Bytes(size_t name, size_t attribute) { return sizeof(Element) + name + attribute; }
  size_t bytes() const { return Bytes(name_size, attribute_size); }
  std::string_view name() const { return {reinterpret_cast<const char*>(this + 1), name_size}; }
  std::string_view attribute() const {
    return {reinterpret_cast<const char*>(this + 1) + name_size, attribute_size};
  }

  static Element* Make(VectorId id, std::string_view name, std::string_view attribute,
                       const EncodedView& vector) {
    void* const block = ::operator new(Bytes(name.size(), attribute.size()));
    auto* const element =
        new (block) Element{.id = id,
                            .norm = vector.norm,
                            .range = vector.range,
                            .name_size = static_cast<uint32_t>(name.size()),
                            .attribute_size = static_cast<uint32_t>(attribute.size()),
                            .vector = nullptr,
                            .position = 0};
    char* const text = static_cast<char*>(block) + sizeof(Element);
    name.copy(text, name.size());
    attribute.copy(text + name.size(), attribute.size());
    return element;
  }
};

// Grows without moving what is there: chunk k has 64 << k places. Reading: any thread, under a
// guard of the set's reclaimer. Changing: one thread at a time.
class ElementTable {
 public:
  ElementTable() = default;
  ElementTable(const ElementTable&) = delete;
  ElementTable& operator=(const ElementTable&) = delete;
  ~ElementTable() {
    for (auto& chunk : chunks_) delete[] chunk.load(std::memory_order_relaxed);
  }

  // Null: the slot is free.
  Element* At(Slot slot) const {
    const auto [chunk, place] = PlaceOf(slot);
    // READ, pairs with SET: the element before the pointer to it.
    return chunks_[chunk].load(std::memory_order_acquire)[place].load(std::memory_order_acquire);
  }
  // The element that has the vector. Null: it was removed, or has another.
  Element* Find(VectorId id) const {
    if (SlotOf(id) >= end()) return nullptr;
    Element* const element = At(SlotOf(id));
    return element != nullptr && element->id == id ? element : nullptr;
  }
  // All slots are below.
  Slot end() const { return end_.load(std::memory_order_acquire); }

  // A free slot, which At may be asked for. At most UINT32_MAX - 1 are given.
  Slot Acquire() {
    if (!free_.empty()) {
      const Slot slot = free_.back();
      free_.pop_back();
      return slot;
    }
    const Slot slot = end_.load(std::memory_order_relaxed);
    const auto [chunk, place] = PlaceOf(slot);
    if (place == 0) {
      const size_t places = size_t{64} << chunk;
      chunks_[chunk].store(new std::atomic<Element*>[places](), std::memory_order_release);
      bytes_.fetch_add(places * sizeof(Element*), std::memory_order_relaxed);
    }
    end_.store(slot + 1, std::memory_order_release);
    return slot;
  }
  void Set(Slot slot, Element* element) {
    const auto [chunk, place] = PlaceOf(slot);
    chunks_[chunk].load(std::memory_order_relaxed)[place].store(element, std::memory_order_release);
  }
  // Makes the slot free; At gives null from now on.
  void Release(Slot slot) {
    Set(slot, nullptr);
    free_.push_back(slot);
  }
  size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  static std::pair<size_t, size_t> PlaceOf(Slot slot) {
    const uint64_t from_64 = uint64_t{slot} + 64;  // Chunk k begins where this has bit 6 + k alone.
    const auto chunk = static_cast<size_t>(std::bit_width(from_64)) - 7;
    return {chunk, from_64 - (uint64_t{64} << chunk)};
  }

  std::array<std::atomic<std::atomic<Element*>*>, 27> chunks_{};
  std::atomic<Slot> end_ = 0;
  std::vector<Slot> free_;
  std::atomic<size_t> bytes_ = 0;
};

}  // namespace shoal::vset
