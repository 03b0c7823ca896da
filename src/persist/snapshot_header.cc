// The header of a snapshot: where its fields are, and which values they may have.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/crc32c.h"
#include "base/number.h"
#include "codec/make_codec.h"
#include "persist/dataset_checks.h"
#include "persist/snapshot_file.h"
#include "store/tag.h"

namespace shoal {
namespace {

static_assert(std::endian::native == std::endian::little);

// The header, by offset. The first three fields and the checksum at its end are of every version.
constexpr size_t kHeaderBytes = kSnapshotHeaderBytes;
constexpr size_t kVersionAt = 8;
constexpr size_t kHeaderBytesAt = 12;
constexpr size_t kFileBytesAt = 16;
constexpr size_t kPointsAt = 24;
constexpr size_t kEdgesAt = 32;
constexpr size_t kDimAt = 40;
constexpr size_t kScalarTypeAt = 44;
constexpr size_t kMetricAt = 48;
constexpr size_t kMaxDegreeAt = 52;
constexpr size_t kBuildListSizeAt = 56;
constexpr size_t kAlphaAt = 60;
constexpr size_t kMaxNormSqAt = 64;
constexpr size_t kBlockPointsAt = 68;
constexpr size_t kDirectoryAt = 72;  // u64 offset, u32 blocks, u32 checksum.
constexpr size_t kStartPointsAt = 88;
constexpr size_t kRowBytesAt = 92;
constexpr size_t kCodecAt = 96;
constexpr size_t kRerankCodecAt = 100;  // And of its rows bytes and largest squared norm.
constexpr size_t kRerankRowBytesAt = 104;
constexpr size_t kRerankMaxNormSqAt = 108;
constexpr size_t kParameterBytesAt = 112;  // u32 of each codec.
constexpr size_t kLabelPagesAt = 120;
constexpr size_t kHasSlotsAt = 124;
constexpr size_t kHasListCodesAt = 128;  // Of version 4; before it 0.
constexpr size_t kHeaderCrcAt = kHeaderBytes - 4;
using HeaderBytes = SnapshotHeaderBytes;

// Scalar types and metrics are stored as the numbers that they have in memory.
static_assert(static_cast<int>(ScalarType::kFloat32) == 0);
static_assert(static_cast<int>(ScalarType::kFloat16) == 1);
static_assert(static_cast<int>(ScalarType::kInt8) == 2);
static_assert(static_cast<int>(ScalarType::kUint8) == 3);
static_assert(static_cast<int>(ScalarType::kBit) == 4);
static_assert(static_cast<int>(Metric::kL2) == 0);
static_assert(static_cast<int>(Metric::kInnerProduct) == 1);
static_assert(static_cast<int>(Metric::kCosine) == 2);
static_assert(static_cast<int>(Metric::kManhattan) == 3);
static_assert(static_cast<int>(Metric::kHamming) == 4);
// Codes likewise, less kFull's.
static_assert(static_cast<int>(Code::kFull) == 1);
static_assert(static_cast<int>(Code::kNone) == 10);
uint32_t NumberOf(Code code) { return static_cast<uint32_t>(code) - 1; }
Code CodeOf(uint32_t number) { return static_cast<Code>(std::min(number, 254u) + 1); }

constexpr uint64_t kMaxPoints = kMaxSlots - 1;  // One slot is the start point's.
constexpr uint32_t kMaxBlockPoints = 65536;
constexpr uint32_t kMaxParameterBytes = uint32_t{1} << 30;

template <class T>
void Put(HeaderBytes& bytes, size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof(value));
}
template <class T>
T Take(const HeaderBytes& bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}

std::string Printable(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    char hex[8];
    std::snprintf(hex, sizeof(hex), "\\x%02x", static_cast<unsigned char>(c));
    text += c >= ' ' && c <= '~' ? std::string(1, c) : std::string(hex);
  }
  return text;
}

// What is checked of every version's file: the magic number and the version.
Status CheckVersion(const InputFile& file, const HeaderBytes& bytes, size_t there) {
  const std::string_view magic(reinterpret_cast<const char*>(bytes.data()),
                               std::min(there, kSnapshotMagic.size()));
  if (magic != kSnapshotMagic)
    return Mismatch(ErrorCode::kCorrupt, file.path(), "magic number",
                    Printable(kSnapshotMagic) + ", the beginning of a shoal snapshot",
                    magic.empty() ? "an empty file" : Printable(magic));
  if (there < kFileBytesAt) return {};
  const auto version = Take<uint32_t>(bytes, kVersionAt);
  if (version == kPlainSnapshotVersion || version == kSnapshotVersion) return {};
  const std::string expected =
      std::to_string(kPlainSnapshotVersion) + " or " + std::to_string(kSnapshotVersion);
  if (version == 0)
    return Mismatch(ErrorCode::kCorrupt, file.path(), "format version", expected, "0");
  return Mismatch(ErrorCode::kUnsupported, file.path(), "format version", expected,
                  std::to_string(version) + ": written by " +
                      (version > kSnapshotVersion ? "a newer" : "an older") + " shoal");
}

Status CheckSizeAndChecksum(const InputFile& file, const HeaderBytes& bytes) {
  const auto header_bytes = Take<uint32_t>(bytes, kHeaderBytesAt);
  const auto expected = Take<uint32_t>(bytes, kHeaderCrcAt);
  const uint32_t found = Crc32c(bytes.data(), kHeaderCrcAt);
  if (header_bytes != kHeaderBytes || expected != found)
    return Mismatch(ErrorCode::kCorrupt, file.path(), "header, offset 4092: checksum",
                    Hex(expected), Hex(found));
  const auto size = Take<uint64_t>(bytes, kFileBytesAt);
  if (size != file.size())
    return Mismatch(ErrorCode::kCorrupt, file.path(), "size",
                    std::to_string(size) + " bytes by its header",
                    std::to_string(file.size()) + " bytes");
  return {};
}

std::string FieldAt(const char* field, size_t at) {
  return "header, offset " + std::to_string(at) + ": " + field;
}

// A field whose value, although its checksum is right, no index has.
Status CheckField(const InputFile& file, const char* field, size_t at, bool valid,
                  const std::string& expected, const std::string& found) {
  if (valid) return {};
  return Mismatch(ErrorCode::kCorrupt, file.path(), FieldAt(field, at), expected, found);
}

// Where the fields of one of the codecs are.
struct CodecFields {
  size_t codec, row_bytes, max_norm_sq, parameter_bytes;
};

Status CheckCodec(const InputFile& file, const IndexOptions& o, Code code,
                  const SnapshotCodec& codec, const CodecFields& at) {
  const uint32_t number = NumberOf(code);
  const uint32_t last = NumberOf(code == o.code ? Code::kNone : Code::kSign);
  Status ok = CheckRange(file.path(), FieldAt("codec", at.codec), number, 0, last);
  if (!ok) return ok;
  const auto made = MakeCodec(code, o.scalar_type, o.metric, o.dim);
  if (made == nullptr)
    return Mismatch(ErrorCode::kUnsupported, file.path(), FieldAt("codec", at.codec),
                    "one for " + std::string(ScalarTypeName(o.scalar_type)) + " vectors",
                    std::to_string(number) + ", " + std::string(CodeName(code)));
  const auto row_bytes = code == Code::kNone ? 0 : static_cast<uint32_t>(made->row_bytes());
  ok = CheckRange(file.path(), FieldAt("bytes of a row", at.row_bytes), codec.row_bytes, row_bytes,
                  row_bytes);
  if (ok)
    ok = CheckField(file, "largest squared norm", at.max_norm_sq,
                    codec.max_norm_sq >= 0 && std::isfinite(codec.max_norm_sq),
                    "a number of at least 0", Written(codec.max_norm_sq));
  if (ok)
    ok = CheckRange(file.path(), FieldAt("bytes of parameters", at.parameter_bytes),
                    codec.parameter_bytes, 0, kMaxParameterBytes);
  return ok;
}

Status CheckCodecs(const InputFile& file, const SnapshotHeader& header) {
  const IndexOptions& o = header.options;
  constexpr size_t kSecond = sizeof(uint32_t);
  if (o.code == Code::kFull && o.rerank_code != Code::kFull)
    return CheckField(file, "codec of rerank rows", kRerankCodecAt, false, "0, as the codec is",
                      std::to_string(NumberOf(o.rerank_code)));
  Status ok = CheckCodec(file, o, o.code, header.traversal,
                         {kCodecAt, kRowBytesAt, kMaxNormSqAt, kParameterBytesAt});
  if (!ok || o.rerank_code == o.code) return ok;
  if (header.has_slots != 0)
    return CheckRange(file.path(), FieldAt("bytes of a rerank row", kRerankRowBytesAt),
                      header.rerank.row_bytes, 0, 0);
  return CheckCodec(
      file, o, o.rerank_code, header.rerank,
      {kRerankCodecAt, kRerankRowBytesAt, kRerankMaxNormSqAt, kParameterBytesAt + kSecond});
}

Status CheckHeader(const InputFile& file, const SnapshotHeader& header, const HeaderBytes& bytes) {
  const IndexOptions& o = header.options;
  const auto number = [&](const char* field, size_t at, uint64_t least, uint64_t most,
                          uint64_t found) {
    return CheckRange(file.path(), FieldAt(field, at), found, least, most);
  };
  Status ok = number("dim", kDimAt, 1, kMaxDim, o.dim);
  if (ok) ok = number("scalar type", kScalarTypeAt, 0, 4, Take<uint32_t>(bytes, kScalarTypeAt));
  if (ok) ok = number("metric", kMetricAt, 0, 4, Take<uint32_t>(bytes, kMetricAt));
  if (ok)
    ok = CheckField(file, "metric", kMetricAt, IsPossible(o.scalar_type, o.metric),
                    "one of " + std::string(ScalarTypeName(o.scalar_type)) + " vectors",
                    std::string(MetricName(o.metric)));
  if (ok) ok = number("max_degree", kMaxDegreeAt, 4, kMaxDegree, o.max_degree);
  if (ok) ok = number("build_list_size", kBuildListSizeAt, 1, kMaxListSize, o.build_list_size);
  if (ok) ok = CheckRange(file.path(), FieldAt("alpha", kAlphaAt), o.alpha, 1, 2);
  if (ok) ok = number("points", kPointsAt, 0, kMaxPoints, header.points);
  if (ok) ok = number("slots", kHasSlotsAt, o.code == Code::kNone ? 1 : 0, 1, header.has_slots);
  const bool is_plain = Take<uint32_t>(bytes, kVersionAt) == kPlainSnapshotVersion;
  if (ok)
    ok = number("codes beside the lists", kHasListCodesAt, is_plain ? 0 : 1, is_plain ? 0 : 1,
                header.has_list_codes);
  if (ok) ok = CheckCodecs(file, header);
  if (ok) ok = number("points of a block", kBlockPointsAt, 1, kMaxBlockPoints, header.block_points);
  if (ok)
    ok = number("start points", kStartPointsAt, header.points == 0 ? 0 : 1, 1, header.start_points);
  constexpr uint64_t kMostPages = std::numeric_limits<uint32_t>::max() / kSnapshotPage;
  if (ok && header.label_pages != 0)
    ok = number("pages of labels", kLabelPagesAt,
                DivideUp(header.points * sizeof(uint64_t), kSnapshotPage), kMostPages,
                header.label_pages);
  if (!ok) return ok;
  ok = number("blocks", kDirectoryAt + 8, header.blocks(), header.blocks(),
              Take<uint32_t>(bytes, kDirectoryAt + 8));
  // Before anything of this size is allocated.
  const uint64_t least =
      header.OffsetOf(SnapshotSection::kSeeds) + header.blocks() * kSnapshotEntryBytes;
  if (ok)
    ok = CheckField(file, "points", kPointsAt, header.file_bytes >= least,
                    "as many as fit " + std::to_string(header.file_bytes) + " bytes",
                    std::to_string(header.points) + ", which take " + std::to_string(least));
  const uint64_t directory = header.file_bytes - header.blocks() * kSnapshotEntryBytes;
  if (ok)
    ok = number("directory", kDirectoryAt, directory, directory,
                Take<uint64_t>(bytes, kDirectoryAt));
  return ok;
}

Status ReadHeaderBytes(const InputFile& file, HeaderBytes& bytes) {
  const auto there = static_cast<size_t>(std::min<uint64_t>(file.size(), kHeaderBytes));
  if (Status ok = file.ReadAt(0, bytes.data(), there, "header"); !ok) return ok;
  if (Status ok = CheckVersion(file, bytes, there); !ok) return ok;
  if (there == kHeaderBytes) return {};
  return Mismatch(ErrorCode::kCorrupt, file.path(), "size",
                  "at least " + std::to_string(kHeaderBytes) + " bytes (the header)",
                  std::to_string(there) + " bytes");
}

SnapshotHeader Decode(const HeaderBytes& bytes) {
  SnapshotHeader header;
  header.options = {.dim = Take<uint32_t>(bytes, kDimAt),
                    .scalar_type = static_cast<ScalarType>(Take<uint32_t>(bytes, kScalarTypeAt)),
                    .metric = static_cast<Metric>(Take<uint32_t>(bytes, kMetricAt)),
                    .code = CodeOf(Take<uint32_t>(bytes, kCodecAt)),
                    .rerank_code = CodeOf(Take<uint32_t>(bytes, kRerankCodecAt)),
                    .max_degree = Take<uint32_t>(bytes, kMaxDegreeAt),
                    .build_list_size = Take<uint32_t>(bytes, kBuildListSizeAt),
                    .alpha = Take<float>(bytes, kAlphaAt)};
  header.traversal = {.row_bytes = Take<uint32_t>(bytes, kRowBytesAt),
                      .parameter_bytes = Take<uint32_t>(bytes, kParameterBytesAt),
                      .max_norm_sq = Take<float>(bytes, kMaxNormSqAt)};
  header.rerank = {.row_bytes = Take<uint32_t>(bytes, kRerankRowBytesAt),
                   .parameter_bytes = Take<uint32_t>(bytes, kParameterBytesAt + sizeof(uint32_t)),
                   .max_norm_sq = Take<float>(bytes, kRerankMaxNormSqAt)};
  header.file_bytes = Take<uint64_t>(bytes, kFileBytesAt);
  header.points = Take<uint64_t>(bytes, kPointsAt);
  header.edges = Take<uint64_t>(bytes, kEdgesAt);
  header.block_points = Take<uint32_t>(bytes, kBlockPointsAt);
  header.start_points = Take<uint32_t>(bytes, kStartPointsAt);
  header.label_pages = Take<uint32_t>(bytes, kLabelPagesAt);
  header.has_slots = Take<uint32_t>(bytes, kHasSlotsAt);
  header.has_list_codes = Take<uint32_t>(bytes, kHasListCodesAt);
  header.directory_crc = Take<uint32_t>(bytes, kDirectoryAt + 12);
  return header;
}

}  // namespace

SnapshotHeaderBytes EncodeHeader(const SnapshotHeader& header, uint64_t directory) {
  SnapshotHeaderBytes bytes = {};
  std::memcpy(bytes.data(), kSnapshotMagic.data(), kSnapshotMagic.size());
  Put<uint32_t>(bytes, kVersionAt, header.version());
  Put<uint32_t>(bytes, kHeaderBytesAt, kHeaderBytes);
  Put<uint64_t>(bytes, kFileBytesAt, header.file_bytes);
  Put<uint64_t>(bytes, kPointsAt, header.points);
  Put<uint64_t>(bytes, kEdgesAt, header.edges);
  Put<uint32_t>(bytes, kDimAt, header.options.dim);
  Put<uint32_t>(bytes, kScalarTypeAt, static_cast<uint32_t>(header.options.scalar_type));
  Put<uint32_t>(bytes, kMetricAt, static_cast<uint32_t>(header.options.metric));
  Put<uint32_t>(bytes, kMaxDegreeAt, header.options.max_degree);
  Put<uint32_t>(bytes, kBuildListSizeAt, header.options.build_list_size);
  Put<float>(bytes, kAlphaAt, header.options.alpha);
  Put<float>(bytes, kMaxNormSqAt, header.traversal.max_norm_sq);
  Put<uint32_t>(bytes, kBlockPointsAt, header.block_points);
  Put<uint64_t>(bytes, kDirectoryAt, directory);
  Put<uint32_t>(bytes, kDirectoryAt + 8, static_cast<uint32_t>(header.blocks()));
  Put<uint32_t>(bytes, kDirectoryAt + 12, header.directory_crc);
  Put<uint32_t>(bytes, kStartPointsAt, header.start_points);
  Put<uint32_t>(bytes, kRowBytesAt, header.traversal.row_bytes);
  Put<uint32_t>(bytes, kCodecAt, NumberOf(header.options.code));
  Put<uint32_t>(bytes, kRerankCodecAt, NumberOf(header.options.rerank_code));
  Put<uint32_t>(bytes, kRerankRowBytesAt, header.rerank.row_bytes);
  Put<float>(bytes, kRerankMaxNormSqAt, header.rerank.max_norm_sq);
  Put<uint32_t>(bytes, kParameterBytesAt, header.traversal.parameter_bytes);
  Put<uint32_t>(bytes, kParameterBytesAt + sizeof(uint32_t), header.rerank.parameter_bytes);
  Put<uint32_t>(bytes, kLabelPagesAt, header.label_pages);
  Put<uint32_t>(bytes, kHasSlotsAt, header.has_slots);
  Put<uint32_t>(bytes, kHasListCodesAt, header.has_list_codes);
  Put<uint32_t>(bytes, kHeaderCrcAt, Crc32c(bytes.data(), kHeaderCrcAt));
  return bytes;
}

Result<SnapshotHeader> SnapshotReader::ReadHeader(const InputFile& file) {
  HeaderBytes bytes = {};
  Status ok = ReadHeaderBytes(file, bytes);
  if (ok) ok = CheckSizeAndChecksum(file, bytes);
  const SnapshotHeader header = Decode(bytes);
  if (ok) ok = CheckHeader(file, header, bytes);
  if (!ok) return tl::unexpected(ok.error());
  return header;
}

}  // namespace shoal
