// rand_data_gen: a .bin of random vectors, all directions equally likely. The same flags and the
// same build make the same file.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <random>
#include <vector>

#include "apps/common/command_line.h"
#include "apps/common/progress.h"
#include "shoal/dataset.h"

namespace shoal::apps {
namespace {

constexpr float kMaxIntegerNorm = 127;  // Of one element, too: it fits, whatever the direction.
constexpr float kMaxScaling = 1e30f;    // No element is infinite.

struct Request {
  ScalarType type = ScalarType::kFloat32;
  std::filesystem::path output_file;
  uint32_t dim = 0;
  uint32_t rows = 0;
  float norm = -1;
  float rand_scaling = 1;
  uint32_t seed = 1;
};

Status Check(const Request& request) {
  const auto wrong = [](const char* flag, const std::string& expected, const auto& found) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("{}: expected {}, found {}", flag, expected, found));
  };
  if (request.type == ScalarType::kFloat16)
    return wrong("--data_type", "float, int8, uint8 or bit", "float16");
  if (request.dim < 1 || request.dim > kMaxDim)
    return wrong("--ndims", fmt::format("1 to {}", kMaxDim), request.dim);
  if (request.rows < 1 || request.rows > INT32_MAX)
    return wrong("--npts", fmt::format("1 to {}", INT32_MAX), request.rows);
  if (!std::isfinite(request.norm)) return wrong("--norm", "a finite number", request.norm);
  if (!(request.rand_scaling >= 1 && request.rand_scaling <= kMaxScaling))
    return wrong("--rand_scaling", fmt::format("1 to {}", kMaxScaling), request.rand_scaling);
  if (request.type == ScalarType::kBit && request.norm > 0)
    return wrong("--norm", "0 or less with bit", request.norm);
  if (request.type == ScalarType::kBit && request.rand_scaling != 1)
    return wrong("--rand_scaling", "1 with bit", request.rand_scaling);
  if (request.type == ScalarType::kInt8 || request.type == ScalarType::kUint8) {
    const std::string_view type = ScalarTypeName(request.type);
    if (!(request.norm > 0) || request.norm > kMaxIntegerNorm)
      return wrong("--norm", fmt::format("more than 0, up to 127, with {}", type), request.norm);
    if (request.rand_scaling != 1)
      return wrong("--rand_scaling", fmt::format("1 with {}", type), request.rand_scaling);
  }
  if (request.norm > 0 && request.rand_scaling != 1)
    return wrong("--rand_scaling", "1 with --norm", request.rand_scaling);
  return CheckOutputFile(request.output_file);
}

// One row after the other. Not of std::normal_distribution, which is each library's own.
class Rows {
 public:
  explicit Rows(const Request& request)
      : request_(request), random_(request.seed), row_(request.dim) {}

  // The next row, as request.type; DiskANN's uint8 is centred at 128.
  void Next(std::byte* out) {
    if (request_.type == ScalarType::kBit) return NextBits(out);
    double squares = 0;
    for (double& x : row_) {
      x = Normal();
      squares += x * x;
    }
    const double factor = request_.norm > 0 ? request_.norm / std::sqrt(squares)
                                            : 1 + Uniform() * (request_.rand_scaling - 1);
    for (size_t i = 0; i < row_.size(); ++i) {
      const double x = row_[i] * factor;
      switch (request_.type) {
        case ScalarType::kInt8: Put(static_cast<int8_t>(std::lround(x)), i, out); break;
        case ScalarType::kUint8: Put(static_cast<uint8_t>(128 + std::lround(x)), i, out); break;
        default: Put(static_cast<float>(x), i, out); break;
      }
    }
  }

 private:
  void NextBits(std::byte* out) {
    std::memset(out, 0, BytesOf(ScalarType::kBit, request_.dim));
    for (size_t i = 0; i < request_.dim; ++i)
      if (Uniform() < 0.5) out[i / 8] |= std::byte{1} << i % 8;
  }
  template <class T>
  static void Put(T x, size_t i, std::byte* out) {
    std::memcpy(out + i * sizeof(T), &x, sizeof(T));
  }
  // In [0, 1).
  double Uniform() { return static_cast<double>(random_() >> 11) * 0x1p-53; }
  // Box and Muller's.
  double Normal() {
    const double radius = std::sqrt(-2 * std::log(1 - Uniform()));
    return radius * std::cos(2 * std::numbers::pi * Uniform());
  }

  const Request& request_;
  std::mt19937_64 random_;
  std::vector<double> row_;
};

Status Generate(const Request& request) {
  constexpr size_t kBlockBytes = size_t{4} << 20;
  if (auto ok = Check(request); !ok) return ok;
  auto writer = BinWriter::Create(request.output_file, request.type, request.rows, request.dim);
  if (!writer) return tl::unexpected(writer.error());
  const size_t block =
      std::clamp<size_t>(kBlockBytes / BytesOf(request.type, request.dim), 1, request.rows);
  auto rows = Matrix::Create(request.type, block, request.dim);
  if (!rows) return tl::unexpected(rows.error());
  Rows random(request);
  Progress progress("Generating", "rows", request.rows);
  for (size_t done = 0; done < request.rows;) {
    const size_t n = std::min(block, request.rows - done);
    for (size_t i = 0; i < n; ++i) random.Next(rows->data() + i * rows->row_bytes());
    if (auto ok = writer->Append(rows->view().Slice(0, n)); !ok) return ok;
    progress.Update(done += n);
  }
  if (auto ok = writer->Commit(); !ok) return ok;
  fmt::print("Written: {} ({} x {} {}, seed {})\n", request.output_file.string(), request.rows,
             request.dim, ScalarTypeName(request.type), request.seed);
  return {};
}

}  // namespace
}  // namespace shoal::apps

int main(int argc, char** argv) {
  using namespace shoal::apps;  // NOLINT(google-build-using-namespace)
  CommandLine line(
      "rand_data_gen",
      "Writes random vectors, whose elements are independent and normal (or fair bits), to "
      "a .bin.");
  Request request;
  line.Required(flags::kIndexDataType, &request.type);
  line.Required(flags::kOutputFile, &request.output_file);
  line.Required(flags::kNdims, &request.dim);
  line.Required(flags::kNpts, &request.rows);
  line.Optional(flags::kNorm, &request.norm);
  line.Optional(flags::kRandScaling, &request.rand_scaling);
  line.Optional(flags::kSeed, &request.seed);
  return line.Run(argc, argv, [&] { return Generate(request); });
}
