// Dot products of a block of queries with a block of rows: the matrix product inside exact search.
//
// A tile kernel multiplies a panel of queries (one or two vectors of them, one query a lane) with a
// tile of rows, keeps all sums in registers from the first element to the last, and compares them
// with one threshold a query before anything is stored: nearly all pairs end there.
//
// Both sides are packed first into 32-bit words: a word is one float, or two int16, or four bytes,
// as the instruction set likes it. `words` is their number per vector, the last padded by zeros.
//   panel: words x width x word, width = lanes or 2 lanes: word w of query i at [w * width + i].
//   tile: chunks of 16 words x rows: word w of row r at [(w / 16 * tile_rows + r) * 16 + w % 16].
// A tile is thus read in one go, and a row is packed by copying whole chunks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "shoal/types.h"

namespace shoal::distance {

inline constexpr size_t kChunkWords = 16;
// Upper bounds of BlockKernels::lanes and BlockKernels::tile_rows.
inline constexpr size_t kMaxLanes = 16;
inline constexpr size_t kMaxTileRows = 12;
inline constexpr size_t kMaxPanelVectors = 2;
// Rows that share one entry of a tile's tops; tile_rows is a multiple.
inline constexpr size_t kTopRows = 3;

// One product: sum[r][i] = bias[r] + dot(row r, query i). Word is float or int32_t.
template <class Word>
struct TileJob {
  const void* panel;  // 64-byte aligned
  const void* tile;   // 64-byte aligned
  size_t words;
  const Word* bias;  // tile_rows
  // A pair is a hit if its score >= threshold[i]. No score may be NaN. width; 64-byte aligned.
  const Word* threshold;
  // Out, if there is a hit: tile_rows x width scores, 64-byte aligned, and each row's mask of hits.
  Word* scores;
  uint32_t* hits;
};
// For integers under cosine: score = (sum + offset[i]) * scale[r] in float, thresholds likewise.
struct ScaledTileJob {
  TileJob<int32_t> product;  // threshold and scores unused
  const int32_t* offset;     // width; 64-byte aligned
  const float* scale;        // tile_rows
  const float* threshold;    // width; 64-byte aligned
  float* scores;             // as in TileJob
};

// What packing an integer vector leaves to add: dot = product + query's offset + row's offset.
struct PackedInt {
  int32_t norm;  // sum of squares, exact
  int32_t offset;
};

struct BlockKernels {
  std::string_view isa;  // as in KernelSet
  size_t lanes;
  size_t tile_rows;
  size_t int_elements;  // of an integer word: 2 or 4

  // The mask of rows that have hits. [vectors in the panel - 1].
  uint32_t (*float_tile[kMaxPanelVectors])(const TileJob<float>& job);
  uint32_t (*int_tile[kMaxPanelVectors])(const TileJob<int32_t>& job);
  uint32_t (*scaled_tile[kMaxPanelVectors])(const ScaledTileJob& job);
  // The largest score of rows 0 to kTopRows - 1 of the tile with each query, then of the next ones,
  // and so on: into `scores`, tile_rows / kTopRows x width. Thresholds and hits are unused.
  void (*float_tops[kMaxPanelVectors])(const TileJob<float>& job);
  void (*int_tops[kMaxPanelVectors])(const TileJob<int32_t>& job);
  void (*scaled_tops[kMaxPanelVectors])(const ScaledTileJob& job);

  // out = (in - centre) * scale, in chunks of 16 floats that lie `stride` floats apart; returns the
  // sum of squares of what was stored, summed in double. `in`: dim floats (halves), any alignment;
  // out: 64-byte aligned, written to the end of the last chunk.
  double (*pack_float)(const void* in, const float* centre, float scale, size_t dim, float* out,
                       size_t stride);
  double (*pack_half)(const void* in, const float* centre, float scale, size_t dim, float* out,
                      size_t stride);
  // Likewise, for a vector that will be a query, and one that will be a row. out: 64 byte chunks
  // that lie `stride` bytes apart.
  PackedInt (*pack_int8_query)(const void* in, size_t dim, std::byte* out, size_t stride);
  PackedInt (*pack_int8_row)(const void* in, size_t dim, std::byte* out, size_t stride);
  PackedInt (*pack_uint8_query)(const void* in, size_t dim, std::byte* out, size_t stride);
  PackedInt (*pack_uint8_row)(const void* in, size_t dim, std::byte* out, size_t stride);

  // In double, from the elements themselves, any alignment. The order of summation is the same in
  // every instruction set, and so is the result, to the last bit.
  double (*exact_l2)(const float* a, const float* b, size_t dim);
  double (*exact_dot)(const float* a, const float* b, size_t dim);
  double (*exact_l1)(const float* a, const float* b, size_t dim);
  void (*half_to_float)(const Half* in, size_t n, float* out);

  // The ceiling that the tiles are judged by: `steps` rounds of independent multiply-adds on
  // registers only, as the tile uses them. Returns the multiply-adds done, by element.
  double (*float_peak)(size_t steps);
  double (*int_peak)(size_t steps);
};

// Every set in this binary that this CPU runs, best first; never empty.
std::span<const BlockKernels* const> AvailableBlockKernels();
// The set of that name; when there is none, the best.
const BlockKernels& BlockKernelsFor(std::string_view isa);
// "scalar": plain C++ for any CPU; the last of the available.
const BlockKernels& PortableBlockKernels();
// The set compiled for one target of Highway (HWY_AVX2, ...), or null. For block_dispatch.cc only.
const BlockKernels* VectorBlockKernels(int64_t target);

}  // namespace shoal::distance
