#include "shoal/snapshot.h"

#include "persist/list_codes.h"
#include "persist/read_blocks.h"

namespace shoal {
namespace {

SnapshotInfo InfoOf(const SnapshotHeader& header) {
  return {.format_version = header.version(),
          .options = header.options,
          .points = header.points,
          .edges = header.edges,
          .bytes = header.file_bytes,
          .has_vectors = header.has_slots == 0,
          .has_list_codes = header.has_list_codes != 0};
}

}  // namespace

Result<SnapshotInfo> InspectSnapshot(const std::filesystem::path& path) {
  Result<InputFile> file = InputFile::Open(path);
  if (!file) return tl::unexpected(file.error());
  Result<SnapshotHeader> header = SnapshotReader::ReadHeader(*file);
  if (!header) return tl::unexpected(header.error());
  return InfoOf(*header);
}

Result<SnapshotInfo> VerifySnapshot(const std::filesystem::path& path, const BatchOptions& batch) {
  const Result<SnapshotReader> reader = SnapshotReader::Open(path);
  if (!reader) return tl::unexpected(reader.error());
  const bool has_codes = reader->header().has_list_codes != 0;
  Result<MappedFile> file = has_codes ? reader->file().Map() : MappedFile();
  if (!file) return tl::unexpected(file.error());
  const auto check = [&](SnapshotSection section, size_t block,
                         const std::vector<std::byte>& bytes) -> Status {
    if (!has_codes || section != SnapshotSection::kLists) return {};
    return CheckListCodes(*reader, *file, block, bytes);
  };
  if (Status ok = ReadAllBlocks(*reader, check, batch); !ok) return tl::unexpected(ok.error());
  return InfoOf(reader->header());
}

}  // namespace shoal
