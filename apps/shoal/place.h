// Where a command's index is: a snapshot file, or an index of a database. The file says which.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "shoal/database.h"
#include "shoal/index.h"
#include "shoal/index_view.h"

namespace shoal::apps {

// What the command line says. `index` names an index of a database; empty: its only one.
struct Place {
  std::string file;
  std::string index;
};

// Whether the file is a database. False: there is no such file.
bool IsDatabase(const std::string& file);
// The name of the index. InvalidArgument: none was said, and there is not one; or the file is a
// snapshot and a name was said.
Result<std::string> IndexNameOf(const Place& place);

// An index that is read where it is, as the last commit, or Save, left it.
class Source {
 public:
  static Result<Source> Open(const Place& place);

  // As the functions of IndexView.
  const IndexOptions& options() const;
  size_t size() const;
  Result<std::vector<uint64_t>> Ids() const;
  Status Get(uint64_t id, MutableVectorView vector) const;
  Status SearchMany(MatrixView queries, const SearchOptions& options,
                    const SearchManyOutput& output, const BatchOptions& batch) const;
  Result<std::vector<Hit>> RangeSearch(VectorView query, const RangeOptions& options) const;

 private:
  template <class Of>
  explicit Source(Of of) : of_(std::move(of)) {}
  std::variant<IndexView, DatabaseSnapshot> of_;
};

// An index that is changed: all of it when Finish returns, or nothing.
class Target {
 public:
  static Result<Target> Open(const Place& place, size_t threads = 0);

  const IndexOptions& options() const { return index().options(); }
  Result<BatchReport> Insert(std::span<const uint64_t> ids, MatrixView rows,
                             const BatchOptions& batch);
  Result<BatchReport> Upsert(std::span<const uint64_t> ids, MatrixView rows,
                             const BatchOptions& batch);
  Result<BatchReport> Delete(std::span<const uint64_t> ids);
  // Replaces the snapshot file, or commits.
  Status Finish();

 private:
  // Of a database. In the order in which they may be destroyed, last first.
  struct Stored {
    Database database;
    StoredIndex index;
    Transaction change;
  };
  explicit Target(std::string file) : file_(std::move(file)) {}
  const Index& index() const { return stored_ ? stored_->index.live() : *loaded_; }

  std::string file_;
  std::optional<Index> loaded_;
  std::unique_ptr<Stored> stored_;
};

}  // namespace shoal::apps
