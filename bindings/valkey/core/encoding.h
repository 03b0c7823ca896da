// What a vector set keeps of a vector: its quantisation, and the projection before it.
//
// A vector x of length |x| is kept as
//   kFloat32  x / |x|, float32 little-endian (under cosine; else x itself)
//   kInt8     round(x_i / |x| * 127 / range), int8, where range = max |x_i| / |x|
//   kBinary   a bit an element, 1 where x_i > 0: 0.0 becomes -1. Element i is bit i % 8 of byte
//             i / 8; bits behind the last element are 0
// beside |x| and range. These bytes are the authority: replicas, files and digests have them as
// they are, and nothing is ever quantised twice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "shoal/result.h"

namespace shoal::vset {

enum class Quantization : uint8_t { kFloat32, kInt8, kBinary };
// Which vectors are similar. The commands know kCosine alone; the others are extensions, for
// kFloat32 only.
enum class Similarity : uint8_t { kCosine, kL2, kInnerProduct };

// "f32", "int8", "bin": as the commands report them.
std::string_view QuantizationName(Quantization quantization);

inline constexpr uint32_t kMaxVectorDim = 65536;  // Of what is stored, and of what is projected.

struct EncodingOptions {
  uint32_t dim = 0;        // Elements that are stored, 1 to kMaxVectorDim.
  uint32_t input_dim = 0;  // Elements of vectors that are given, if they are projected to `dim`:
                           // dim to kMaxVectorDim. 0: no projection.
  Quantization quantization = Quantization::kInt8;
  Similarity similarity = Similarity::kCosine;

  friend bool operator==(const EncodingOptions&, const EncodingOptions&) = default;
};

// Bytes of an encoded vector. Of options in range.
size_t EncodedBytes(const EncodingOptions& options);

// A vector as a set keeps it. `bytes` belong to whoever made the view.
struct EncodedView {
  std::span<const std::byte> bytes;
  float norm = 0;   // |x|, of the projected vector. 0: the zero vector, whose bytes are all zero
                    // (kBinary has none: its norm is 0 and its elements are -1).
  float range = 0;  // kInt8: above 0, at most 1; 0 for the zero vector. Else 0.
};

// The same with bytes of its own.
struct EncodedVector {
  std::vector<std::byte> bytes;
  float norm = 0;
  float range = 0;
  operator EncodedView() const { return {bytes, norm, range}; }  // NOLINT: as a span of a vector.
};

// Encodes, decodes and compares vectors of one set. It does not change; any thread.
//
// The projection is a subsampled randomised Hadamard transform (Ailon and Chazelle, "The fast
// Johnson-Lindenstrauss transform", 2009; Tropp, 2011): the signs of the elements are flipped by a
// fixed pseudo-random sequence, a Walsh-Hadamard transform mixes them, `dim` fixed pseudo-random
// elements stay, scaled so that lengths are kept on average. It depends on (input_dim, dim) only.
class Encoding {
 public:
  // InvalidArgument: `options` out of range; another similarity than kCosine with quantised
  // vectors (Unsupported).
  static Result<Encoding> Create(const EncodingOptions& options);

  const EncodingOptions& options() const { return options_; }
  // Elements of a vector that is given.
  uint32_t input_dim() const { return options_.input_dim != 0 ? options_.input_dim : options_.dim; }
  // Bytes of an encoded vector.
  size_t bytes() const { return bytes_; }

  // InvalidArgument: another number of elements than input_dim(); an element that is NaN or
  // infinite; a length beyond float (kCosine), or beyond 9.2e18 (others: shoal's Metric).
  Result<EncodedVector> Encode(std::span<const float> vector) const;
  // The vector again, as far as it was kept: dim elements. kBinary: +1 and -1.
  std::vector<double> Decode(const EncodedView& vector) const;
  // Whether Encode may have made it: bytes, norm and range. For input that is not trusted. Corrupt
  // names what is wrong.
  Status Check(const EncodedView& vector) const;

  // How similar two vectors are: the score of a hit.
  //   kCosine        (1 + cos) / 2, within [0, 1]; 0.5 if either is the zero vector, unless
  //                  kBinary, whose zero vector is a vector like others
  //   kL2            squared distance
  //   kInnerProduct  inner product
  double Score(const EncodedView& a, const EncodedView& b) const;
  // The score of a distance that an Index of this encoding gives.
  double ScoreOfDistance(float distance) const;
  // Whether score a is nearer than score b.
  bool IsNearer(double a, double b) const {
    return options_.similarity == Similarity::kL2 ? a < b : a > b;
  }
  // Whether an Index can hold the vector: not the zero vector under kCosine (but kBinary), nor
  // dimensions beyond the Index's.
  bool IsIndexable(const EncodedView& vector) const;

 private:
  explicit Encoding(const EncodingOptions& options);
  std::vector<float> Project(std::span<const float> vector) const;

  EncodingOptions options_;
  size_t bytes_ = 0;
  std::vector<uint32_t> kept_;  // Of the transform's elements, those that are kept.
};

}  // namespace shoal::vset
