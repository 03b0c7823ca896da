// Neighbour selection: from a pool of candidates to a list of neighbours.
//
// RobustPrune (DiskANN paper, algorithm 2), with the rounds of DiskANN's code. Deviations:
// docs/algorithms.md, D13 to D18 and D20.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "codec/codec.h"
#include "graph/candidate_list.h"
#include "graph/representation.h"
#include "graph/search_scratch.h"
#include "shoal/options.h"

namespace shoal {

struct Operation;

// A distance is far if it is so many times the median one. (Distances are squared for L2.)
inline constexpr float kFar = 3;

struct PruneScratch {
  // Room for the candidates of a full row: then nothing throws.
  PruneScratch() {
    open.Resize(SearchScratch::kMaxIds);
    selected.reserve(SearchScratch::kMaxIds);
  }

  // Candidates that may still be chosen, nearest first.
  struct Candidates {
    size_t size = 0;
    const Representation* of = nullptr;  // What the rows are of.
    bool in_group = false;               // Whether the point is one of a group of near duplicates.
    std::vector<SlotId> slots;
    std::vector<const std::byte*> rows;
    std::vector<float> distances;  // From the point whose neighbours are chosen.
    std::vector<float> ratios;     // See Pruner::Occlude.
    std::vector<float> between;    // Distances from the neighbour chosen last.

    void Resize(size_t n) {
      size = n;
      if (n <= slots.size()) return;
      slots.resize(n);
      rows.resize(n);
      distances.resize(n);
      ratios.resize(n);
      between.resize(n);
    }
  };
  Candidates open;
  std::vector<Candidate> by_product;  // The pool, where distances are negated products.
  std::vector<SlotId> selected;

  size_t bytes() const {
    return HeapBytes(open.slots, open.rows, open.distances, open.ratios, open.between, by_product,
                     selected);
  }
};

// Constant after construction: any thread.
class Pruner {
 public:
  // `rows`: what it compares. `vectors`: what it compares where those do not tell the points about
  // p apart; null: they always do, or there is nothing better.
  Pruner(const IndexOptions& options, const Representation& rows, const Representation* vectors)
      : options_(options), rows_(rows), vectors_(vectors) {}

  // Of `pool`, candidates with their distances from p by these rows, at most `degree`
  // neighbours for p. Sorts the pool, nearest first. The result is valid until the operation's next
  // Prune.
  std::span<const SlotId> Prune(SlotId p, std::span<Candidate> pool, size_t degree,
                                Operation& op) const;

 private:
  enum class By : uint8_t { kDistance, kProduct };
  struct Round {
    By by = By::kDistance;
    float alpha = 1;      // Candidates that are occluded by more are left for a later round.
    size_t degree = 0;    // Neighbours to have afterwards.
    size_t reserved = 0;  // The last places, for candidates beyond `far`.
    float far = 0;
  };

  void ScoreByVectors(SlotId p, std::span<Candidate> pool, Operation& op) const;
  void ChooseByProduct(SlotId p, std::span<const Candidate> pool, size_t degree,
                       Operation& op) const;
  void ChooseByDistance(std::span<const Candidate> pool, size_t degree, Operation& op) const;
  static void FillUp(std::span<const Candidate> pool, size_t degree, PruneScratch& scratch);
  void Open(std::span<const Candidate> candidates, Operation& op) const;
  void Choose(const Round& round, Operation& op) const;
  void Occlude(By by, const std::byte* row, size_t first, Operation& op) const;
  bool IsInGroup(const float* distances, const float* between, const float* ratios, size_t n) const;
  void RaiseRatiosInGroup(const float* distances, const float* between, float* ratios,
                          size_t n) const;
  // In a group of near duplicates: how many candidates one neighbour occludes.
  size_t MaxOccludedInGroup() const { return std::max<size_t>(options_.max_degree / 8, 1); }

  const IndexOptions& options_;
  const Representation& rows_;
  const Representation* const vectors_;
};

}  // namespace shoal
