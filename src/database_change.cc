// Changes of a whole index of a database: its lists renewed, another code.
#include <new>
#include <string>

#include "base/mismatch.h"
#include "database_impl.h"

namespace shoal {

// The pass writes what Refine has done, though no point came or went.
Status DatabaseImpl::Refine(StoredIndexImpl& index, const BatchOptions& batch) {
  Status ok = MayWait();
  if (ok) ok = index.engine.Refine(batch);
  if (ok) ok = Flush();
  return ok ? Pass(index, PassOver::kAllLists) : ok;
}

// The file has the vectors and the graph, which name no code: the record alone changes.
Status DatabaseImpl::ChangeCode(std::string_view name, Code code) {
  try {
    if (Status ok = MayWait(); !ok) return ok;
    const std::lock_guard opening(opening_);
    if (OpenAlready(name) != nullptr)
      return Invalid("index \"" + std::string(name) + "\"", "one that is not open", "an open one");
    const CommitLockHolder lock(commit_lock_);
    Result<WriteTxn> txn = environment_->Write();
    if (!txn) return tl::unexpected(txn.error());
    Result<IndexRecord> record = FindIndexRecord(*txn, name);
    if (!record) return tl::unexpected(record.error());
    record->options.code = code;
    const Result<StoredIndexImpl::Parts> parts = MakeIndex(record->options);  // Checks them.
    if (!parts) return tl::unexpected(parts.error());
    record->options.code = parts->index.options().code;
    Status ok = txn->Put(Table::kMeta, IndexKey(record->number), EncodeIndexRecord(*record));
    return ok ? std::move(*txn).Commit() : ok;
  } catch (const std::bad_alloc&) {
    return NoMemory();
  }
}

Status StoredIndex::Refine(const BatchOptions& batch) { return database_->Refine(*impl_, batch); }

Status Database::ChangeCode(std::string_view name, Code code) {
  return impl_->ChangeCode(name, code);
}

}  // namespace shoal
