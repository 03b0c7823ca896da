// shoal behind the worker's protocol, through its public API alone.
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shoal/filter.h"
#include "shoal/index.h"
#include "shoal/index_view.h"
#include "shoal/version.h"
#include "worker/or_throw.h"
#include "worker/worker.h"

namespace shoal::bench {
namespace {

ScalarType TypeOf(Element element) {
  switch (element) {
    case Element::kFloat32: return ScalarType::kFloat32;
    case Element::kUint8: return ScalarType::kUint8;
    case Element::kInt8: return ScalarType::kInt8;
  }
  return ScalarType::kFloat32;
}

class ShoalEngine : public Engine {
 public:
  void Describe(Reply& reply) const override {
    reply.Set("isa", ActiveIsa()).Set("version", Version());
  }

  void Build(const Rows& rows, const BuildOptions& options) override {
    Begin(rows, rows.rows(), options);
    std::vector<ExternalId> ids(rows.rows());
    std::iota(ids.begin(), ids.end(), ExternalId{0});
    const BatchReport report = OrThrow(index_->InsertMany(
        ids, MatrixView(rows.data(), type_, rows.rows(), dim_), {.threads = options.threads}));
    if (!report.failures.empty()) throw std::runtime_error(report.failures[0].error.message);
    if (form_ != Form::kLive) TurnIntoView();
  }

  void Settings(const BuildOptions& options, Reply& reply) const override {
    reply.Set("set_max_degree", uint64_t{options.degree});
    reply.Set("set_build_list_size", uint64_t{options.list_size});
  }

  void Save(const std::string&) const override {
    throw std::runtime_error("shoal is built afresh in every run");
  }
  void Open(const std::string&, const Rows&) override {
    throw std::runtime_error("shoal is built afresh in every run");
  }
  void SetListSize(size_t list_size) override { list_size_ = list_size; }

  void Begin(const Rows& shape, size_t, const BuildOptions& options) override {
    type_ = TypeOf(shape.element());
    dim_ = shape.dim();
    index_.emplace(
        OrThrow(Index::Create({.dim = static_cast<uint32_t>(dim_),
                               .scalar_type = type_,
                               .metric = *ParseMetric(options.metric),
                               .code = CodeOf(),
                               .max_degree = static_cast<uint32_t>(options.degree),
                               .build_list_size = static_cast<uint32_t>(options.list_size)})));
  }
  void Insert(size_t id, const std::byte* row) override {
    OrThrow(index_->Insert(id, VectorView(row, type_, dim_)));
  }
  void Replace(size_t leaving, size_t id, const std::byte* row) override {
    Insert(id, row);
    OrThrow(index_->Delete(leaving));
  }
  void Finish() override { OrThrow(index_->Consolidate()); }

  void Accept(std::span<const uint8_t> accepted, size_t rows) override {
    std::vector<ExternalId> ids;
    for (size_t i = 0; i < rows; ++i)
      if ((accepted[i / 8] >> (i % 8) & 1) != 0) ids.push_back(i);
    filter_ = Filter::Ids(ids);
  }
  size_t Search(const std::byte* query, size_t k, uint32_t* ids) override {
    return SearchInto(query, k, ids, nullptr);
  }
  size_t SearchCounted(const std::byte* query, size_t k, uint32_t* ids,
                       uint64_t& distances) override {
    WorkCounters work;
    const size_t n = SearchInto(query, k, ids, &work);
    distances += work.distances;
    return n;
  }

  void Memory(Reply& reply) const override {
    if (view_) return;
    const IndexStats stats = index_->Stats();
    const MemoryBreakdown& m = stats.memory;
    reply.Set("own_total", m.total()).Set("own_vectors", m.vectors);
    reply.Set("own_neighbors", m.neighbors).Set("own_reverse_lists", m.reverse_lists);
    reply.Set("own_slots", m.slots).Set("own_id_map", m.id_map).Set("own_scratch", m.scratch);
    reply.Set("points", stats.points).Set("average_degree", stats.average_degree);
  }

 private:
  // What is searched: the index, or its file: mapped, copied, or copied with codes beside its
  // lists.
  enum class Form : uint8_t { kLive, kView, kCopy, kBlocks };

  // Vectors as they are, unless a code is asked for: its name, and "-view", "-copy" or "-blocks".
  Code CodeOf() {
    if (code.empty()) return Code::kFull;
    std::string_view name = code;
    constexpr std::pair<std::string_view, Form> kForms[] = {
        {"-view", Form::kView}, {"-copy", Form::kCopy}, {"-blocks", Form::kBlocks}};
    for (const auto& [suffix, form] : kForms) {
      if (!name.ends_with(suffix)) continue;
      form_ = form;
      name.remove_suffix(suffix.size());
    }
    if (const std::optional<Code> known = ParseCode(name)) return *known;
    throw std::runtime_error(fmt::format("code: expected a name of Code, found {}", code));
  }

  void TurnIntoView() {
    const std::string path = fmt::format("{}/peer_shoal.{}.shoal",
                                         std::filesystem::temp_directory_path().string(), getpid());
    OrThrow(index_->Save(path, {},
                         {.list_codes = form_ == Form::kBlocks ? SaveOptions::ListCodes::kBeside
                                                               : SaveOptions::ListCodes::kNone}));
    index_.reset();
    view_.emplace(OrThrow(
        IndexView::Open(path, {.memory = form_ == Form::kView ? ViewOptions::Memory::kMapped
                                                              : ViewOptions::Memory::kCopied})));
    std::filesystem::remove(path);
  }

  // At most kMaxK hits a search: no allocation on the way.
  static constexpr size_t kMaxK = 256;

  size_t SearchInto(const std::byte* query, size_t k, uint32_t* ids, WorkCounters* work) const {
    ExternalId found[kMaxK];
    if (k > kMaxK) throw std::runtime_error(fmt::format("k: at most {}", kMaxK));
    const VectorView vector(query, type_, dim_);
    const SearchOptions options{
        .k = k, .search_list_size = list_size_, .filter = filter_ ? &*filter_ : nullptr};
    const Result<size_t> n = view_ ? view_->Search(vector, options, {found, k}, {}, work)
                                   : index_->Search(vector, options, {found, k}, {}, work);
    if (!n) throw std::runtime_error(n.error().message);
    for (size_t i = 0; i < *n; ++i) ids[i] = static_cast<uint32_t>(found[i]);
    return *n;
  }

  std::optional<Index> index_;
  std::optional<IndexView> view_;  // In its place, where a file is searched.
  Form form_ = Form::kLive;
  std::optional<Filter> filter_;
  ScalarType type_ = ScalarType::kFloat32;
  size_t dim_ = 0;
  size_t list_size_ = 64;
};

}  // namespace
}  // namespace shoal::bench

int main() {
  shoal::bench::ShoalEngine engine;
  return shoal::bench::Serve(engine);
}
