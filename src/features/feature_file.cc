#include "features/feature_file.h"

#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "base/crc32c.h"

namespace shoal {
namespace {

constexpr std::array<char, 8> kMagic = {'s', 'h', 'o', 'a', 'l', 'r', 'o', 'w'};
constexpr uint32_t kVersion = 1;
constexpr uint32_t kPut = 0x746f6c73;

struct Header {
  std::array<char, 8> magic;
  uint32_t version;
  uint32_t row_bytes;
  uint32_t stride;
  uint32_t checksum;  // Of what stands before it.
};
static_assert(sizeof(Header) == 24);

uint32_t ChecksumOf(const Header& header) {
  return Crc32c(&header, sizeof(header) - sizeof(header.checksum));
}

uint32_t ChecksumOf(FeatureKey key, const std::byte* row, size_t bytes) {
  const uint32_t row_checksum = Crc32c(row, bytes);
  const uint32_t with_id = Crc32c(&key.id, sizeof(key.id), row_checksum);
  return Crc32c(&key.slot, sizeof(key.slot), with_id);
}

}  // namespace

struct FeatureFile::Tail {
  uint64_t id;
  uint32_t mark;  // kPut, or 0: the slot was never put.
  uint32_t checksum;
};

Result<FeatureFile> FeatureFile::Open(const std::filesystem::path& path, size_t row_bytes) {
  if (Status ok = CheckRange(ErrorCode::kInvalidArgument, "row_bytes", row_bytes, 1, kMaxRowBytes);
      !ok)
    return tl::unexpected(ok.error());
  Result<UpdatableFile> file = UpdatableFile::Open(path);
  if (!file) return tl::unexpected(file.error());
  const Result<uint64_t> size = file->Size();
  if (!size) return tl::unexpected(size.error());
  FeatureFile features(*std::move(file), row_bytes);
  if (Status ok = *size == 0 ? features.WriteHeader() : features.CheckHeader(); !ok)
    return tl::unexpected(ok.error());
  return features;
}

Status FeatureFile::WriteHeader() {
  Header header = {.magic = kMagic,
                   .version = kVersion,
                   .row_bytes = static_cast<uint32_t>(row_bytes_),
                   .stride = static_cast<uint32_t>(stride_),
                   .checksum = 0};
  header.checksum = ChecksumOf(header);
  std::array<char, kHeaderBytes> page = {};
  std::memcpy(page.data(), &header, sizeof(header));
  if (Status ok = file_.WriteAt(0, page.data(), page.size()); !ok) return ok;
  return file_.Sync();
}

Status FeatureFile::CheckHeader() const {
  Header header = {};
  if (Status ok = file_.ReadAt(0, &header, sizeof(header)); !ok) return ok;
  const auto wrong = [&](ErrorCode code, const char* field, const std::string& expected,
                         const std::string& found) -> Status {
    return Mismatch(code, file_.path(), field, expected, found);
  };
  if (header.magic != kMagic)
    return wrong(ErrorCode::kCorrupt, "magic", "shoalrow (a file of rows)", "other bytes");
  if (header.version != kVersion)
    return wrong(ErrorCode::kUnsupported, "version", Written(kVersion), Written(header.version));
  if (header.checksum != ChecksumOf(header))
    return wrong(ErrorCode::kCorrupt, "checksum of the header", Written(ChecksumOf(header)),
                 Written(header.checksum));
  if (header.row_bytes != row_bytes_ || header.stride != stride_)
    return wrong(ErrorCode::kCorrupt, "row_bytes", Written(row_bytes_), Written(header.row_bytes));
  return {};
}

void FeatureFile::Fill(FeatureKey key, const std::byte* row, std::byte* record) const {
  std::memcpy(record, row, row_bytes_);
  const size_t tail_at = stride_ - kTailBytes;
  std::memset(record + row_bytes_, 0, tail_at - row_bytes_);
  const Tail tail = {.id = key.id, .mark = kPut, .checksum = ChecksumOf(key, row, row_bytes_)};
  static_assert(sizeof(tail) == kTailBytes);
  std::memcpy(record + tail_at, &tail, sizeof(tail));
}

Result<bool> FeatureFile::Has(FeatureKey key, const std::byte* record) const {
  Tail tail;
  std::memcpy(&tail, record + stride_ - kTailBytes, sizeof(tail));
  if (tail.mark == 0 && tail.id == 0 && tail.checksum == 0) return false;
  const uint32_t checksum = ChecksumOf({key.slot, tail.id}, record, row_bytes_);
  if (tail.mark == kPut && tail.checksum == checksum) return tail.id == key.id;
  const std::string field = "row of slot " + Written(key.slot);
  if (tail.mark != kPut)
    return Mismatch(ErrorCode::kCorrupt, file_.path(), field + ", mark", Written(kPut),
                    Written(tail.mark));
  return Mismatch(ErrorCode::kCorrupt, file_.path(), field + ", checksum", Written(tail.checksum),
                  Written(checksum));
}

}  // namespace shoal
