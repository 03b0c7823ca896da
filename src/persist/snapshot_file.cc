#include "persist/snapshot_file.h"

#include <limits>

#include "base/crc32c.h"
#include "base/number.h"
#include "persist/dataset_checks.h"

namespace shoal {

Result<SnapshotWriter> SnapshotWriter::Create(const std::filesystem::path& path) {
  return Begin(OutputFile::Create(path));
}

Result<SnapshotWriter> SnapshotWriter::CreateUnnamed() {
  return Begin(OutputFile::CreateUnnamed());
}

Result<SnapshotWriter> SnapshotWriter::Begin(Result<OutputFile> file) {
  if (!file) return tl::unexpected(file.error());
  SnapshotWriter writer(std::move(*file));
  const SnapshotHeaderBytes none = {};  // Until Commit knows what to say.
  if (Status ok = writer.file_.Append(none.data(), none.size()); !ok)
    return tl::unexpected(ok.error());
  writer.offset_ = kSnapshotHeaderBytes;
  return writer;
}

Status SnapshotWriter::Append(const std::vector<std::byte>& block) {
  PutNumber<uint64_t>(directory_, offset_);
  PutNumber<uint32_t>(directory_, static_cast<uint32_t>(block.size()));
  PutNumber<uint32_t>(directory_, Crc32c(block.data(), block.size()));
  offset_ += block.size();
  return file_.Append(block.data(), block.size());
}

Status SnapshotWriter::Seal(SnapshotHeader header) {
  if (Status ok = file_.Append(directory_.data(), directory_.size()); !ok) return ok;
  header.file_bytes = offset_ + directory_.size();
  header.directory_crc = Crc32c(directory_.data(), directory_.size());
  const SnapshotHeaderBytes bytes = EncodeHeader(header, offset_);
  return file_.Overwrite(0, bytes.data(), bytes.size());
}

Status SnapshotWriter::Commit(SnapshotHeader header) {
  if (Status ok = Seal(header); !ok) return ok;
  return file_.Commit();
}

Status SnapshotWriter::CommitTo(SnapshotHeader header, const ByteSink& sink,
                                const std::stop_token& stop) {
  if (Status ok = Seal(header); !ok) return ok;
  constexpr uint64_t kPiece = uint64_t{1} << 20;
  const uint64_t end = offset_ + directory_.size();
  std::vector<std::byte> piece(std::min(kPiece, end));
  for (uint64_t at = 0; at < end; at += piece.size()) {
    if (stop.stop_requested())
      return MakeError(ErrorCode::kCancelled, "save: cancelled after " + std::to_string(at) +
                                                  " of " + std::to_string(end) + " bytes");
    piece.resize(std::min(kPiece, end - at));
    if (Status ok = file_.ReadAt(at, piece.data(), piece.size()); !ok) return ok;
    if (Status ok = sink(piece); !ok) return ok;
  }
  return {};
}

Result<SnapshotReader> SnapshotReader::Open(const std::filesystem::path& path) {
  return Open(InputFile::Open(path));
}

Result<SnapshotReader> SnapshotReader::Open(Result<InputFile> file) {
  if (!file) return tl::unexpected(file.error());
  Result<SnapshotHeader> header = ReadHeader(*file);
  if (!header) return tl::unexpected(header.error());
  SnapshotReader reader(std::move(*file));
  reader.header_ = *header;
  if (Status ok = reader.ReadDirectory(); !ok) return tl::unexpected(ok.error());
  return reader;
}

Status SnapshotReader::ReadDirectory() {
  if (Status ok = TryResize(file_.path(), directory_, header_.blocks()); !ok) return ok;
  const size_t bytes = directory_.size() * kSnapshotEntryBytes;
  const uint64_t at = header_.file_bytes - bytes;
  if (Status ok = file_.ReadAt(at, directory_.data(), bytes, "directory"); !ok) return ok;
  const uint32_t found = Crc32c(directory_.data(), bytes);
  if (found != header_.directory_crc)
    return Mismatch(ErrorCode::kCorrupt, file_.path(),
                    "directory, offset " + std::to_string(at) + ": checksum",
                    Hex(header_.directory_crc), Hex(found));
  // The blocks lie one behind the other, from the header to the directory.
  uint64_t offset = kSnapshotHeaderBytes;
  for (const SnapshotSection section : kSnapshotSections) {
    for (size_t block = 0; block < header_.BlocksOf(section); ++block) {
      if (Status ok = CheckEntry(section, block, offset); !ok) return ok;
      offset += EntryOf(section, block).bytes;
    }
  }
  if (offset == at) return {};
  return Mismatch(ErrorCode::kCorrupt, file_.path(), "directory: end of the last block",
                  std::to_string(at), std::to_string(offset));
}

Status SnapshotReader::CheckEntry(SnapshotSection section, size_t block, uint64_t offset) const {
  const Entry& entry = EntryOf(section, block);
  uint64_t least = 0, most = std::numeric_limits<uint32_t>::max();
  if (section == SnapshotSection::kParameters) {
    least = most = header_.parameter_bytes();
  } else if (section == SnapshotSection::kLabels) {
    least = most = header_.label_pages * kSnapshotPage;
  } else if (section != SnapshotSection::kSeeds) {
    least = most = header_.BlockBytes(section, block);
  }
  const std::string where = "directory: " + std::string(SnapshotSectionName(section)) + ", block " +
                            std::to_string(block) + ": ";
  if (entry.offset != offset)
    return Mismatch(ErrorCode::kCorrupt, file_.path(), where + "offset", std::to_string(offset),
                    std::to_string(entry.offset));
  if (entry.bytes < least || entry.bytes > most)
    return Mismatch(ErrorCode::kCorrupt, file_.path(), where + "bytes", std::to_string(least),
                    std::to_string(entry.bytes));
  return {};
}

Status SnapshotReader::ReadBlock(SnapshotSection section, size_t block,
                                 std::vector<std::byte>& out) const {
  const Entry& entry = EntryOf(section, block);
  if (Status ok = TryResize(file_.path(), out, entry.bytes); !ok) return ok;
  const std::string_view name = SnapshotSectionName(section);
  if (Status ok = file_.ReadAt(entry.offset, out.data(), out.size(), name); !ok) return ok;
  const uint32_t found = Crc32c(out.data(), out.size());
  if (found == entry.crc) return {};
  return Broken(section, block, 0, "checksum of " + std::to_string(entry.bytes) + " bytes",
                Hex(entry.crc), Hex(found));
}

tl::unexpected<Error> SnapshotReader::Broken(SnapshotSection section, size_t block, size_t offset,
                                             std::string_view field, std::string_view expected,
                                             std::string_view found) const {
  const std::string where = std::string(SnapshotSectionName(section)) + ", offset " +
                            std::to_string(EntryOf(section, block).offset + offset) + ": " +
                            std::string(field);
  return Mismatch(ErrorCode::kCorrupt, file_.path(), where, expected, found);
}

}  // namespace shoal
