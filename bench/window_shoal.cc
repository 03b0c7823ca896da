// The sliding window on shoal; see window.h.
#include "shoal/index.h"
#include "window.h"

namespace shoal::bench {
namespace {

class ShoalWindow {
 public:
  ShoalWindow(const WindowOptions& options, size_t dim)
      : type_(options.type == "u8" ? ScalarType::kUint8 : ScalarType::kFloat32),
        dim_(dim),
        threads_(options.threads),
        index_(Index::Create({.dim = static_cast<uint32_t>(dim),
                              .scalar_type = type_,
                              .max_degree = options.degree,
                              .build_list_size = static_cast<uint32_t>(options.list)})) {}

  void Insert(size_t id, const std::byte* row) {
    Check(index_->Insert(id, VectorView(row, type_, dim_)));
  }
  void Replace(size_t leaving, size_t id, const std::byte* row) {
    Insert(id, row);
    Check(index_->Delete(leaving));
  }
  void ReplaceMany(size_t leaving, size_t id, const std::byte* rows, size_t n) {
    ids_.resize(n);
    std::iota(ids_.begin(), ids_.end(), id);
    const auto in =
        index_->InsertMany(ids_, MatrixView(rows, type_, n, dim_), {.threads = threads_});
    std::iota(ids_.begin(), ids_.end(), leaving);
    const auto out = index_->DeleteMany(ids_, {.threads = threads_});
    if (!in || in->done < n || !out || out->done < n) Fail("a batch failed");
  }
  void Finish() { Check(index_->Consolidate()); }
  size_t Search(const std::byte* query, size_t k, size_t list, uint64_t* ids) {
    return *index_->Search(VectorView(query, type_, dim_), {.k = k, .search_list_size = list},
                           {ids, k}, {});
  }

 private:
  static void Check(const Status& status) {
    if (!status) Fail(status.error().message);
  }
  const ScalarType type_;
  const size_t dim_;
  const size_t threads_;
  std::vector<ExternalId> ids_;
  Result<Index> index_;
};

}  // namespace
}  // namespace shoal::bench

int main(int argc, char** argv) {
  return shoal::bench::WindowMain<shoal::bench::ShoalWindow>(argc, argv);
}
