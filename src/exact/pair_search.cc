#include "exact/pair_search.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "base/norm.h"
#include "base/padding.h"
#include "distance/kernels.h"
#include "exact/candidates.h"

namespace shoal::exact {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

// Scores are negated distances, as they are reported. Those of integers and bits are the kernels'
// (kMaxDim: below 2^24, so exact). Those of floats are computed in double where the kernel's figure
// does not show that the row is out.
class PairSearch final : public SliceSearch {
 public:
  PairSearch(const Problem& problem, const Shape& shape)
      : problem_(problem),
        kernels_(distance::KernelsFor(problem.kernels->isa)),
        batch_(kernels_.Batch(
            problem.metric == Metric::kHamming ? distance::Op::kHamming : distance::Op::kL1,
            problem.base.type())),
        candidates_(shape.group_queries, problem.k),
        bars_(shape.group_queries),
        rows_(shape.block_rows),
        data_(shape.block_rows),
        figures_(shape.block_rows) {
    if (!problem.HasFloats()) return;
    const auto dim = static_cast<double>(problem.dim());
    relative_error_ = 2 * (dim + 8) * 0x1p-24;
    absolute_error_ = dim * 0x1p-125;  // Of differences below the normal numbers.
    row_floats_.resize(problem.dim());
    query_floats_.resize(problem.dim());
  }

  void Begin(size_t first, size_t count, SharedBars* bars) override {
    first_ = first;
    count_ = count;
    shared_ = bars;
    candidates_.Clear();
    std::fill(bars_.begin(), bars_.end(), kLowest);
  }

  bool Run(size_t begin, size_t end, Observer& observer) override {
    for (size_t next = begin; next < end;) {
      if (observer.Cancelled()) return false;
      const size_t block = next;
      if (!CollectRows(next, end)) {
        observer.Refuse();
        return false;
      }
      for (size_t slot = 0; slot < count_; ++slot) ScoreBlock(slot);
      observer.Done(count_ * (next - block));
    }
    return true;
  }

  void End(std::span<Ranked> out, std::span<uint32_t> counts) override {
    std::vector<Ranked> ranked;
    for (size_t slot = 0; slot < count_; ++slot) {
      ranked.clear();
      for (const auto& candidate : candidates_.Of(slot))
        ranked.push_back({0.0 - double{candidate.low}, candidate.row});
      const size_t found = std::min(problem_.k, ranked.size());
      std::partial_sort(ranked.begin(), ranked.begin() + found, ranked.end());
      std::copy_n(ranked.begin(), found, out.begin() + slot * problem_.k);
      counts[slot] = static_cast<uint32_t>(found);
    }
  }

 private:
  // The next block of included rows from `next` on, which it moves. False: a refused row.
  bool CollectRows(size_t& next, size_t end) {
    block_rows_ = 0;
    for (; next < end && block_rows_ < rows_.size(); ++next) {
      if (!problem_.Includes(next)) continue;
      if (!IsLegal(problem_.base[next])) return false;
      rows_[block_rows_] = static_cast<uint32_t>(next);
      data_[block_rows_++] = static_cast<const std::byte*>(problem_.base[next].data());
    }
    return true;
  }

  // By a kernel first: a float sum well within the bound has finite terms only.
  bool IsLegal(VectorView row) {
    if (!problem_.HasFloats()) return HasZeroPadding(row);
    const float* floats = AsFloats(row, row_floats_);
    const size_t dim = problem_.dim();
    constexpr auto kSurely = static_cast<float>(kMaxNorm * kMaxNorm / 2);
    if (kernels_.Pair(distance::Op::kDot, ScalarType::kFloat32)(floats, floats, dim) < kSurely)
      return true;
    return IsLegalNormSq(problem_.kernels->exact_dot(floats, floats, dim), problem_.metric);
  }

  // Perhaps unaligned: for kernels only.
  const float* AsFloats(VectorView vector, std::vector<float>& scratch) const {
    if (vector.type() == ScalarType::kFloat32) return static_cast<const float*>(vector.data());
    kernels_.half_to_float(static_cast<const Half*>(vector.data()), vector.dim(), scratch.data());
    return scratch.data();
  }

  void ScoreBlock(size_t slot) {
    const float shared = shared_->Get(first_ + slot, kLowest);
    bars_[slot] = std::max(bars_[slot], shared);
    const VectorView query = problem_.queries[first_ + slot];
    const void* elements = problem_.HasFloats() ? AsFloats(query, query_floats_) : query.data();
    batch_(elements, data_.data(), block_rows_, problem_.dim(), figures_.data());
    for (size_t i = 0; i < block_rows_; ++i) {
      // Most rows are out at a glance.
      if (double{figures_[i]} * (1 - relative_error_) - absolute_error_ > -double{bars_[slot]})
        continue;
      Add(slot, i, -Distance(elements, i));
    }
  }

  float Distance(const void* query, size_t i) {
    if (!problem_.HasFloats()) return figures_[i];
    const VectorView row(data_[i], problem_.base.type(), problem_.dim());
    return static_cast<float>(problem_.kernels->exact_l1(
        static_cast<const float*>(query), AsFloats(row, row_floats_), problem_.dim()));
  }

  void Add(size_t slot, size_t i, float score) {
    if (score < bars_[slot]) return;
    if (!candidates_.Add(slot, {score, score, rows_[i]})) return;
    const float bar = candidates_.Bar(slot);
    candidates_.KeepFirst(slot, bar);
    shared_->Raise(first_ + slot, bar);
    // Rows come in ascending order, so a later one that ties with these loses; with those of
    // another thread, it may win.
    bars_[slot] = std::max(bars_[slot], std::nextafter(bar, -kLowest));
  }

  const Problem& problem_;
  const distance::KernelSet& kernels_;
  const distance::BatchFn batch_;
  double relative_error_ = 0;  // Of the kernel's figures.
  double absolute_error_ = 0;
  Candidates<float> candidates_;
  std::vector<float> bars_;             // group; scores below are out
  std::vector<uint32_t> rows_;          // row numbers of the block
  std::vector<const std::byte*> data_;  // of these rows
  std::vector<float> figures_;          // of these rows with one query
  std::vector<float> row_floats_;       // dim
  std::vector<float> query_floats_;     // dim
  size_t block_rows_ = 0;
  // Of the group.
  size_t first_ = 0;
  size_t count_ = 0;
  SharedBars* shared_ = nullptr;
};

}  // namespace

std::unique_ptr<SliceSearch> MakePairSearch(const Problem& problem, const Shape& shape) {
  return std::make_unique<PairSearch>(problem, shape);
}

}  // namespace shoal::exact
