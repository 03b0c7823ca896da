#include "exact/slice_search.h"

#include <bit>
#include <cstring>

#include "base/round.h"
#include "exact/candidates.h"
#include "exact/modes.h"
#include "exact/pair_search.h"

namespace shoal::exact {
namespace {

template <class Mode>
class SliceSearchOf final : public SliceSearch {
 public:
  using Score = typename Mode::Score;

  SliceSearchOf(const Problem& problem, const Shape& shape)
      : problem_(problem),
        lanes_(problem.kernels->lanes),
        width_(distance::kMaxPanelVectors * lanes_),
        tile_rows_(problem.kernels->tile_rows),
        row_bytes_(problem.row_bytes()),
        mode_(problem, RoundUp(shape.group_queries, width_), RoundUp(shape.block_rows, tile_rows_)),
        candidates_(shape.group_queries, problem.k),
        bars_(shape.group_queries),
        panels_(RoundUp(shape.group_queries, width_) * problem.words() * 4),
        tiles_(RoundUp(shape.block_rows, tile_rows_) * row_bytes_),
        packed_query_(row_bytes_),
        rows_(shape.block_rows) {
    std::memset(tiles_.data(), 0, RoundUp(shape.block_rows, tile_rows_) * row_bytes_);
  }

  void Begin(size_t first, size_t count, SharedBars* bars) override {
    first_ = first;
    count_ = count;
    shared_ = bars;
    PackQueries();
  }

  bool Run(size_t begin, size_t end, Observer& observer) override {
    for (size_t next = begin; next < end;) {
      if (observer.Cancelled()) return false;
      const size_t block = next;
      if (!PackRows(next, end)) {
        observer.Refuse();
        return false;
      }
      TakeSharedBars();
      for (size_t slot = 0; slot < count_; slot += width_) {
        if (bars_[slot] == Mode::kLowest) EstimateBars(slot);
        MultiplyPanel(slot);
      }
      observer.Done(count_ * (next - block));
    }
    return true;
  }

  void End(std::span<Ranked> out, std::span<uint32_t> counts) override {
    for (size_t slot = 0; slot < count_; ++slot) {
      if (candidates_.Of(slot).size() > problem_.k) Shrink(slot);
      Rank(slot);
      const size_t found = std::min(problem_.k, ranked_.size());
      std::sort(ranked_.begin(), ranked_.end());
      std::copy_n(ranked_.begin(), found, out.begin() + slot * problem_.k);
      counts[slot] = static_cast<uint32_t>(found);
    }
  }

 private:
  static constexpr size_t kChunkBytes = distance::kChunkWords * 4;

  void PackQueries() {
    candidates_.Clear();
    std::fill(bars_.begin(), bars_.end(), Mode::kLowest);
    const size_t words = problem_.words();
    for (size_t slot = 0; slot < count_; ++slot) {
      mode_.PackQuery(first_ + slot, slot, packed_query_.data());
      const size_t width = PanelWidth(slot / width_ * width_);
      uint32_t* panel = panels_.As<uint32_t>() + slot / width_ * width_ * words;
      const auto* word = packed_query_.As<const uint32_t>();
      for (size_t w = 0; w < words; ++w) panel[w * width + slot % width_] = word[w];
    }
    for (size_t slot = count_; slot % width_ != 0; ++slot) {
      mode_.ClearSlot(slot);
      const size_t width = PanelWidth(slot / width_ * width_);
      uint32_t* panel = panels_.As<uint32_t>() + slot / width_ * width_ * words;
      if (slot % width_ >= width) continue;
      for (size_t w = 0; w < words; ++w) panel[w * width + slot % width_] = 0;
    }
  }

  // Lanes of the panel that begins with `slot`: the last one may do with one vector.
  size_t PanelWidth(size_t slot) const { return count_ - slot <= lanes_ ? lanes_ : width_; }

  // Packs the next block of included rows from `next` on, which it moves. False: a refused row.
  bool PackRows(size_t& next, size_t end) {
    block_rows_ = 0;
    for (; next < end && block_rows_ < rows_.size(); ++next) {
      if (!problem_.Includes(next)) continue;
      if (next + kRowsAhead < end) Prefetch(next + kRowsAhead);
      std::byte* tile = tiles_.data() + block_rows_ / tile_rows_ * tile_rows_ * row_bytes_;
      if (!mode_.PackRow(next, block_rows_, tile + block_rows_ % tile_rows_ * kChunkBytes,
                         tile_rows_ * kChunkBytes))
        return false;
      rows_[block_rows_++] = static_cast<uint32_t>(next);
    }
    return true;
  }

  void TakeSharedBars() {
    for (size_t slot = 0; slot < count_; ++slot) {
      const Score bar = shared_->Get(first_ + slot, Mode::kLowest);
      if (bar > bars_[slot]) {
        bars_[slot] = bar;
        mode_.SetBar(slot, bar, false);
      }
    }
  }

  // In the first block: without a bar, everything would be a candidate. The k-th largest of
  // the tops of its tiles is a bar, for these are of different rows, and not much below the
  // block's k-th score: that saves about half of all candidates for one more pass over the block.
  void EstimateBars(size_t slot) {
    const size_t width = PanelWidth(slot);
    const size_t queries = std::min(width, count_ - slot);
    const size_t tiles = block_rows_ / tile_rows_;  // Whole ones.
    const size_t parts = tile_rows_ / distance::kTopRows;
    const size_t used = tiles >= 3 * problem_.k ? 1 : parts;  // Of each tile.
    if (tiles * used < problem_.k) return;
    tops_.resize(queries * tiles * used);
    TilePlace at{slot, width / lanes_, panels_.data() + slot * problem_.words() * 4, 0, nullptr};
    for (size_t tile = 0; tile < tiles; ++tile, at.place += tile_rows_) {
      at.tile = tiles_.data() + at.place * row_bytes_;
      mode_.Tops(at, result_);
      for (size_t i = 0; i < queries; ++i) {
        int32_t* tops = tops_.data() + (i * tiles + tile) * used;
        std::fill_n(tops, used, std::numeric_limits<int32_t>::min());
        for (size_t part = 0; part < parts; ++part) {
          const Score top = mode_.LeastScore(result_.scores[part * width + i], slot + i, at.place);
          int32_t& best = tops[used == 1 ? 0 : part];
          best = std::max(best, Ordered(top));
        }
      }
    }
    for (size_t i = 0; i < queries; ++i) {
      const std::span<const int32_t> tops(tops_.data() + i * tiles * used, tiles * used);
      Raise(slot + i, Unordered<Score>(KthLargest(tops, problem_.k)), false);
    }
  }

  void MultiplyPanel(size_t slot) {
    const size_t width = PanelWidth(slot);
    const size_t queries = std::min(width, count_ - slot);
    const uint32_t valid = ~uint32_t{0} >> (32 - queries);
    TilePlace at{slot, width / lanes_, panels_.data() + slot * problem_.words() * 4, 0, nullptr};
    for (; at.place < block_rows_; at.place += tile_rows_) {
      at.tile = tiles_.data() + at.place * row_bytes_;
      // A full tile's last rows may be left from an earlier block.
      const size_t rows = std::min(tile_rows_, block_rows_ - at.place);
      for (uint32_t hit_rows = mode_.Multiply(at, result_) & ~(~uint32_t{0} << rows); hit_rows != 0;
           hit_rows &= hit_rows - 1) {
        const size_t r = std::countr_zero(hit_rows);
        for (uint32_t hits = result_.hits[r] & valid; hits != 0; hits &= hits - 1) {
          const size_t lane = std::countr_zero(hits);
          Add(slot + lane, at.place + r, result_.scores[r * width + lane]);
        }
      }
    }
  }

  void Add(size_t slot, size_t place, Score score) {
    Candidate<Score> candidate;
    if (!mode_.Bounds(score, slot, place, candidate)) return;
    candidate.row = rows_[place];
    if (candidates_.Add(slot, candidate)) Shrink(slot);
  }

  // k rows have at least the score `bar`.
  void Raise(size_t slot, Score bar, bool strictly_better) {
    if (bar < bars_[slot]) return;
    bars_[slot] = bar;
    mode_.SetBar(slot, bar, strictly_better);
    shared_->Raise(first_ + slot, bar);
  }

  void Shrink(size_t slot) {
    const Score bar = candidates_.Bar(slot);
    // Rows come in ascending order, so a later one that ties with these loses; with those of
    // another thread, it may win.
    Raise(slot, bar, true);
    if (Mode::kExactScores) {
      candidates_.KeepFirst(slot, bar);
    } else {
      candidates_.DropBelow(slot, std::min(bar, mode_.Limit(slot)));
      if (candidates_.Crowded(slot)) KeepTrueBest(slot);
    }
  }

  // The distances of all candidates of `slot`, in their order, into ranked_.
  void Rank(size_t slot) {
    const auto all = candidates_.Of(slot);
    ranked_.resize(all.size());
    for (size_t i = 0; i < all.size(); ++i) {
      if (!Mode::kExactScores && i + kAhead < all.size()) Prefetch(all[i + kAhead].row);
      ranked_[i] = {mode_.Distance(slot, all[i]), all[i].row};
    }
  }

  // Guesses: for rows from all over memory, and for rows in order, where the hardware does its part
  // but for the ends of pages.
  static constexpr size_t kAhead = 4;
  static constexpr size_t kRowsAhead = 4;
  void Prefetch(size_t row) const {
    const std::byte* data = problem_.base.data() + row * problem_.base.row_bytes();
    const size_t bytes = std::min<size_t>(problem_.base.row_bytes(), 4096);
    for (size_t i = 0; i < bytes; i += 64) {
      __builtin_prefetch(data + i);
      std::atomic_signal_fence(std::memory_order_seq_cst);  // Or g++ 12 keeps the first alone.
    }
  }

  void KeepTrueBest(size_t slot) {
    const auto all = candidates_.Of(slot);
    Rank(slot);
    order_.resize(all.size());
    for (size_t i = 0; i < order_.size(); ++i) order_[i] = i;
    std::nth_element(order_.begin(), order_.begin() + problem_.k, order_.end(),
                     [this](size_t a, size_t b) { return ranked_[a] < ranked_[b]; });
    std::sort(order_.begin(), order_.begin() + problem_.k);
    for (size_t i = 0; i < problem_.k; ++i) all[i] = all[order_[i]];
    candidates_.Truncate(slot, problem_.k);
  }

  const Problem& problem_;
  const size_t lanes_;
  const size_t width_;  // of a full panel
  const size_t tile_rows_;
  const size_t row_bytes_;  // of a packed row

  Mode mode_;
  Candidates<Score> candidates_;
  std::vector<Score> bars_;  // group
  AlignedBytes panels_;
  AlignedBytes tiles_;
  AlignedBytes packed_query_;
  std::vector<uint32_t> rows_;  // row numbers of the block
  size_t block_rows_ = 0;
  TileResult<Score> result_;
  std::vector<int32_t> tops_;
  std::vector<Ranked> ranked_;
  std::vector<size_t> order_;
  // Of the group.
  size_t first_ = 0;
  size_t count_ = 0;
  SharedBars* shared_ = nullptr;
};

}  // namespace

Shape ChooseShape(const Problem& problem, size_t threads) {
  constexpr size_t kPanelBytes = size_t{4} << 20;
  constexpr size_t kCandidateBytes = size_t{4} << 20;
  constexpr size_t kBlockBytes = size_t{512} << 10;  // A quarter of a big L2; guess.
  constexpr size_t kMaxQueries = 1024;
  const size_t width = distance::kMaxPanelVectors * problem.kernels->lanes;
  const size_t tile_rows = problem.kernels->tile_rows;
  const size_t queries = problem.queries.rows();

  size_t most = std::min({kMaxQueries, kPanelBytes / problem.query_bytes(),
                          kCandidateBytes / Candidates<float>::BytesPerQuery(problem.k)});
  most = std::max(most / width * width, width);
  Shape shape;
  shape.block_rows = std::max<size_t>(kBlockBytes / problem.row_bytes() / tile_rows, 1) * tile_rows;
  // A group for each thread, that its bars are the best; but large ones, for each packs all rows
  // anew. Where that is not to be had, a few threads share a group.
  constexpr size_t kFewQueries = 256;
  constexpr size_t kThreadsPerGroup = 4;
  shape.groups = std::max({DivideUp(queries, most), std::min(threads, queries / kFewQueries),
                           DivideUp(threads, kThreadsPerGroup)});
  shape.group_queries = RoundUp(DivideUp(queries, shape.groups), width);
  shape.group_queries = std::min(most, std::max(shape.group_queries, std::min<size_t>(most, 128)));
  shape.groups = DivideUp(queries, shape.group_queries);
  // Small slices, that the threads end together.
  constexpr size_t kSlicesPerThread = 16;
  const size_t blocks = (problem.base.rows() + shape.block_rows - 1) / shape.block_rows;
  shape.slices = threads == 1 ? 1 : std::min(blocks, kSlicesPerThread * threads);
  return shape;
}

std::unique_ptr<SliceSearch> MakeSliceSearch(const Problem& problem, const Shape& shape) {
  if (problem.ByPairs()) return MakePairSearch(problem, shape);
  if (problem.HasFloats()) return std::make_unique<SliceSearchOf<FloatMode>>(problem, shape);
  if (problem.metric == Metric::kCosine)
    return std::make_unique<SliceSearchOf<ScaledIntMode>>(problem, shape);
  return std::make_unique<SliceSearchOf<IntMode>>(problem, shape);
}

}  // namespace shoal::exact
