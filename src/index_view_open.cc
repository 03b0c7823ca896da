// Opening a view: what is checked, and where its bytes come to be.
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/mismatch.h"
#include "base/parallel.h"
#include "index_view_impl.h"
#include "persist/list_codes.h"
#include "persist/read_blocks.h"
#include "search_calls.h"

namespace shoal {
namespace {

// All blocks where they are in the file, their checksums compared.
Result<Reservation> CopySnapshot(const SnapshotReader& reader, size_t threads) {
  const uint64_t bytes = reader.header().file_bytes;
  Reservation copy = Reservation::Reserve(bytes);
  MemoryBudget no_limit(0);
  if (copy.base() == nullptr || !copy.Commit(bytes, no_limit)) return NoMemory("copy of the file");
  const auto place = [&](SnapshotSection section, size_t block,
                         const std::vector<std::byte>& from) -> Status {
    std::memcpy(copy.base() + reader.OffsetOf(section, block), from.data(), from.size());
    return {};
  };
  if (Status ok = ReadAllBlocks(reader, place, {.threads = threads}); !ok)
    return tl::unexpected(ok.error());
  return copy;
}

// What searches traverse, its checksums compared.
Result<Reservation> CopyRows(const SnapshotReader& reader, size_t threads) {
  const SnapshotHeader& header = reader.header();
  const size_t row_bytes = header.RecordBytes(SnapshotSection::kRows);
  const uint64_t bytes = header.entries() * row_bytes;
  Reservation copy = Reservation::Reserve(std::max<uint64_t>(1, bytes));
  MemoryBudget no_limit(0);
  if (copy.base() == nullptr || !copy.Commit(bytes, no_limit)) return NoMemory("copy of the codes");
  FirstError first_error;
  const auto read = [&](size_t begin, size_t end) {
    std::vector<std::byte> block;
    for (size_t b = begin; b < end && first_error.ok(); ++b) {
      const Status ok = reader.ReadBlock(SnapshotSection::kRows, b, block);
      first_error.Note(ok);
      if (!ok) return;
      const uint64_t first = header.FirstEntry(b);
      std::memcpy(copy.base() + first * row_bytes, block.data(),
                  (header.FirstEntry(b + 1) - first) * row_bytes);
    }
  };
  ParallelFor(threads, header.entry_blocks(), 1, {}, read);
  if (Status ok = first_error.Take(); !ok) return tl::unexpected(ok.error());
  return copy;
}

}  // namespace

Status IndexViewImpl::Place(const SnapshotReader& reader, const ViewOptions& options) {
  const SnapshotHeader& header = reader.header();
  const std::byte* file = nullptr;
  if (options.memory != ViewOptions::Memory::kCopied) {
    Result<MappedFile> mapped = reader.file().Map();
    if (!mapped) return tl::unexpected(mapped.error());
    snapshot_.file = std::move(*mapped);
    file = snapshot_.file.data();
  } else {
    Result<Reservation> copy = CopySnapshot(reader, options.threads);
    if (!copy) return tl::unexpected(copy.error());
    snapshot_.copy = std::move(*copy);
    file = snapshot_.copy.base();
  }
  // Read-only: nothing writes through it.
  auto* const bytes = const_cast<std::byte*>(file);
  const auto at = [&](SnapshotSection section) { return bytes + header.OffsetOf(section); };
  using Memory = ViewOptions::Memory;
  snapshot_.is_paged = options.memory == Memory::kPaged || options.memory == Memory::kCopiedCodes;
  if (snapshot_.is_paged) snapshot_.file.ReadSinglePages();
  std::byte* rows = at(SnapshotSection::kRows);
  if (options.memory == Memory::kCopiedCodes) {
    Result<Reservation> copy = CopyRows(reader, options.threads);
    if (!copy) return tl::unexpected(copy.error());
    snapshot_.copy = std::move(*copy);
    rows = snapshot_.copy.base();
  }
  snapshot_.rows.store(rows, std::memory_order_relaxed);
  if (snapshot_.has_rerank())
    snapshot_.rerank_rows.store(at(SnapshotSection::kRerankRows), std::memory_order_relaxed);
  snapshot_.ids = reinterpret_cast<const ExternalId*>(at(SnapshotSection::kIds));
  if (header.has_slots != 0)
    snapshot_.slots = reinterpret_cast<const SlotId*>(at(SnapshotSection::kSlots));
  if (header.label_pages != 0)
    snapshot_.labels = SnapshotLabels(at(SnapshotSection::kLabels),
                                      header.label_pages * kSnapshotPage, header.points);
  snapshot_.lists = at(SnapshotSection::kLists);
  if (options.list_codes == ViewOptions::ListCodes::kAsSaved || header.has_list_codes != 0)
    return {};
  Result<Reservation> lists = MakeListCodes(header, file, options.threads);
  if (!lists) return tl::unexpected(lists.error());
  snapshot_.made_lists = std::move(*lists);
  snapshot_.lists = snapshot_.made_lists.base();
  snapshot_.is_paged = false;  // Lists are in memory.
  snapshot_.header.has_list_codes = 1;
  return {};
}

Status IndexViewImpl::CheckStore(const std::filesystem::path& path, const SnapshotHeader& header,
                                 const FeatureStore* store) {
  const IndexOptions& options = header.options;
  if (store == nullptr && header.has_slots != 0)
    return Mismatch(ErrorCode::kUnsupported, path, "vectors", "in the file",
                    "in a feature store (IndexView::OpenWithFeatures)");
  if (store == nullptr) return {};
  if (header.has_slots == 0)
    return Mismatch(ErrorCode::kInvalidArgument, path, "vectors",
                    "in a feature store (Index::SaveWithoutVectors)", "in the file");
  if (options.code == Code::kNone)
    return Mismatch(ErrorCode::kUnsupported, path, "code", "one that the file keeps",
                    "none (Index::LoadWithFeatures)");
  const size_t row_bytes = BytesOf(options.scalar_type, options.dim);
  if (store->row_bytes() != row_bytes)
    return Mismatch(ErrorCode::kInvalidArgument, "store: row_bytes", std::to_string(row_bytes),
                    std::to_string(store->row_bytes()));
  return {};
}

Result<std::unique_ptr<IndexViewImpl>> IndexViewImpl::Open(const std::filesystem::path& path,
                                                           std::unique_ptr<FeatureStore> store,
                                                           const ViewOptions& options) {
  const Result<SnapshotReader> reader = SnapshotReader::Open(path);
  if (!reader) return tl::unexpected(reader.error());
  const SnapshotHeader& header = reader->header();
  if (Status ok = CheckStore(path, header, store.get()); !ok) return tl::unexpected(ok.error());
  Result<SnapshotSeeds> seeds = ReadSeeds(*reader);
  if (!seeds) return tl::unexpected(seeds.error());
  Result<SnapshotCodecs> codecs = MakeSnapshotCodecs(*reader);
  if (!codecs) return tl::unexpected(codecs.error());
  std::unique_ptr<StoredVectors> stored;
  if (store != nullptr) stored = std::make_unique<StoredVectors>(std::move(store), header.options);
  std::unique_ptr<IndexViewImpl> impl(
      new IndexViewImpl(path, header, std::move(*codecs), std::move(stored)));
  OpenSnapshot& snapshot = impl->snapshot_;
  snapshot.has_clusters = HaveClusters(*seeds, header.entries());
  snapshot.seeds = std::move(*seeds);
  if (Status ok = impl->Place(*reader, options); !ok) return tl::unexpected(ok.error());
  return impl;
}

}  // namespace shoal
