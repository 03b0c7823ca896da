// shoal._shoal.Index: what shoal/_index.py calls. Arguments have been converted there.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <array>
#include <filesystem>
#include <string>

#include "searching.h"
#include "shoal/diskann_files.h"

namespace shoal::python {
namespace {

using IndexHandle = Handle<Index>;

// How an index runs: (memory_limit, repair, repair_threads, repair_share).
RuntimeOptions RuntimeOf(nb::handle options) {
  constexpr std::array kPolicies = {"immediate", "background", "manual"};
  RuntimeOptions runtime;
  runtime.memory_limit = nb::cast<uint64_t>(options[0]);
  const auto repair = nb::cast<std::string>(options[1]);
  const auto* policy = std::find(kPolicies.begin(), kPolicies.end(), repair);
  if (policy == kPolicies.end())
    Raise({ErrorCode::kInvalidArgument,
           "repair: expected immediate, background or manual, found " + repair});
  runtime.repair = static_cast<RepairPolicy>(policy - kPolicies.begin());
  runtime.repair_threads = nb::cast<uint32_t>(options[2]);
  runtime.repair_share = nb::cast<uint32_t>(options[3]);
  return runtime;
}

// What an index is: the keys of DictOf.
IndexOptions OptionsOf(nb::handle dict, nb::handle runtime) {
  const auto metric = ParseMetric(nb::cast<std::string>(dict["metric"]));
  const auto type = ParseScalarType(nb::cast<std::string>(dict["dtype"]));
  const auto code = ParseCode(nb::cast<std::string>(dict["code"]));
  const auto rerank_code = ParseCode(nb::cast<std::string>(dict["rerank_code"]));
  if (!metric || !type || !code || !rerank_code)
    throw nb::value_error("metric, dtype, code or rerank_code: no such name");
  return {.dim = nb::cast<uint32_t>(dict["dim"]),
          .scalar_type = *type,
          .metric = *metric,
          .code = *code,
          .rerank_code = *rerank_code,
          .max_degree = nb::cast<uint32_t>(dict["max_degree"]),
          .build_list_size = nb::cast<uint32_t>(dict["build_list_size"]),
          .alpha = nb::cast<float>(dict["alpha"]),
          .runtime = RuntimeOf(runtime)};
}

IndexHandle* Own(Result<Index> index, Subject subject) {
  return new IndexHandle(ValueOf(std::move(index), subject));
}

IndexHandle* Create(nb::handle options, nb::handle runtime) {
  return Own(Index::Create(OptionsOf(options, runtime)), Subject::kId);
}

IndexHandle* Load(const std::string& path, nb::handle runtime, int64_t threads,
                  nb::object progress) {
  LoadOptions options{.runtime = RuntimeOf(runtime)};
  return Own(ResultOfLong({CountOf("threads", threads), std::move(progress)},
                          [&](const BatchOptions& batch) {
                            options.batch = batch;
                            return Index::Load(path, options);
                          }),
             Subject::kFile);
}

IndexHandle* LoadDiskannFiles(const std::string& prefix, nb::handle options, nb::handle runtime,
                              bool tags, int64_t threads) {
  DiskannLoadOptions load{.index = OptionsOf(options, runtime), .tags = tags};
  return Own(ResultOfLong({CountOf("threads", threads), nb::none()},
                          [&](const BatchOptions& batch) {
                            load.batch = batch;
                            return LoadDiskann(prefix, load);
                          }),
             Subject::kFile);
}

// (done, rows that failed, their exceptions, cancelled).
nb::tuple TupleOf(const BatchReport& report) {
  nb::list rows, exceptions;
  for (const BatchReport::Failure& failure : report.failures) {
    rows.append(failure.row);
    exceptions.append(ExceptionOf(failure.error));
  }
  return nb::make_tuple(report.done, rows, exceptions, !report.status);
}

// A call on many ids and as many rows.
template <class Call>
nb::tuple OnRows(const IndexHandle& self, nb::handle ids, nb::handle vectors, int64_t threads,
                 nb::object progress, const Call& call) {
  const std::shared_ptr<Index> index = self.Use();
  const std::span<const uint64_t> id_span = IdsOf(ids);
  const VectorArray array = VectorsOf(vectors, index->options());
  return TupleOf(ValueOf(ResultOfLong(
      {CountOf("threads", threads), std::move(progress), id_span.size()},
      [&](const BatchOptions& batch) { return call(*index, id_span, array.matrix(), batch); })));
}

nb::tuple InsertMany(const IndexHandle& self, nb::handle ids, nb::handle vectors, int64_t threads,
                     nb::object progress) {
  return OnRows(self, ids, vectors, threads, std::move(progress),
                [](Index& index, std::span<const uint64_t> id_span, MatrixView rows,
                   const BatchOptions& batch) { return index.InsertMany(id_span, rows, batch); });
}

nb::tuple UpsertMany(const IndexHandle& self, nb::handle ids, nb::handle vectors, int64_t threads,
                     nb::object progress) {
  return OnRows(self, ids, vectors, threads, std::move(progress),
                [](Index& index, std::span<const uint64_t> id_span, MatrixView rows,
                   const BatchOptions& batch) { return index.UpsertMany(id_span, rows, batch); });
}

nb::tuple DeleteMany(const IndexHandle& self, nb::handle ids, int64_t threads,
                     nb::object progress) {
  const std::shared_ptr<Index> index = self.Use();
  const std::span<const uint64_t> id_span = IdsOf(ids);
  return TupleOf(ValueOf(
      ResultOfLong({CountOf("threads", threads), std::move(progress), id_span.size()},
                   [&](const BatchOptions& batch) { return index->DeleteMany(id_span, batch); })));
}

void Insert(const IndexHandle& self, uint64_t id, nb::handle vector) {
  const std::shared_ptr<Index> index = self.Use();
  const VectorArray array = VectorsOf(vector, index->options());
  ValueOf(WithoutGil([&] { return index->Insert(id, array.vector()); }));
}

void Upsert(const IndexHandle& self, uint64_t id, nb::handle vector) {
  const std::shared_ptr<Index> index = self.Use();
  const VectorArray array = VectorsOf(vector, index->options());
  ValueOf(WithoutGil([&] { return index->Upsert(id, array.vector()); }));
}

void Delete(const IndexHandle& self, uint64_t id) {
  const std::shared_ptr<Index> index = self.Use();
  ValueOf(WithoutGil([&] { return index->Delete(id); }));
}

// (vectors (n, dim), rows whose ids are not there). Those rows are unspecified.
nb::tuple GetMany(const IndexHandle& self, nb::handle ids, int64_t threads) {
  const std::shared_ptr<Index> index = self.Use();
  const std::span<const uint64_t> id_span = IdsOf(ids);
  const IndexOptions& options = index->options();
  const NewArray<void> vectors = NewVectors(options.scalar_type, id_span.size(), options.dim);
  const MutableMatrixView rows{vectors.data, options.scalar_type, id_span.size(), options.dim};
  const BatchReport report = ValueOf(ResultOfLong(
      {CountOf("threads", threads), nb::none(), id_span.size()},
      [&](const BatchOptions& batch) { return index->GetMany(id_span, rows, batch); }));
  nb::list missing;
  for (const BatchReport::Failure& failure : report.failures) missing.append(failure.row);
  return nb::make_tuple(vectors.object, missing);
}

nb::object ContainsMany(const IndexHandle& self, nb::handle ids) {
  const std::shared_ptr<Index> index = self.Use();
  const std::span<const uint64_t> id_span = IdsOf(ids);
  const NewArray<uint8_t> flags = NewFlags(id_span.size());
  ValueOf(WithoutGil([&] { return index->ContainsMany(id_span, flags.elements()); }));
  return flags.object;
}

nb::object Ids(const IndexHandle& self) {
  const std::shared_ptr<Index> index = self.Use();
  const auto ids = ValueOf(WithoutGil([&] { return index->Ids(); }));
  const NewArray<uint64_t> array = NewIds(ids.size());
  std::copy(ids.begin(), ids.end(), array.data);
  return array.object;
}

nb::dict DictOf(const WorkCounters& work) {
  nb::dict dict;
  dict["distances"] = work.distances;
  dict["hops"] = work.hops;
  dict["rows_fetched"] = work.rows_fetched;
  dict["reranked"] = work.reranked;
  dict["lists_read"] = work.lists_read;
  dict["lists_written"] = work.lists_written;
  dict["prunes"] = work.prunes;
  return dict;
}

nb::dict DictOf(const MemoryBreakdown& memory) {
  nb::dict dict;
  dict["vectors"] = memory.vectors;
  dict["neighbors"] = memory.neighbors;
  dict["reverse_lists"] = memory.reverse_lists;
  dict["slots"] = memory.slots;
  dict["id_map"] = memory.id_map;
  dict["scratch"] = memory.scratch;
  return dict;
}

nb::dict Stats(const IndexHandle& self) {
  const std::shared_ptr<Index> index = self.Use();
  const IndexStats stats = WithoutGil([&] { return index->Stats(); });
  nb::dict dict;
  dict["points"] = stats.points;
  dict["slots_used"] = stats.slots_used;
  dict["edges"] = stats.edges;
  dict["average_degree"] = stats.average_degree;
  dict["pending_repairs"] = stats.pending_repairs;
  dict["retired_slots"] = stats.retired_slots;
  dict["work"] = DictOf(stats.work);
  dict["memory"] = DictOf(stats.memory);
  return dict;
}

// A long call that has no rows: call(index, batch) gives a Result.
template <class Call>
auto Long(const IndexHandle& self, int64_t threads, nb::object progress, const Call& call,
          Subject subject = Subject::kId) {
  const std::shared_ptr<Index> index = self.Use();
  return ValueOf(ResultOfLong({CountOf("threads", threads), std::move(progress)},
                              [&](const BatchOptions& batch) { return call(*index, batch); }),
                 subject);
}

void Save(const IndexHandle& self, const std::string& path, nb::object progress) {
  Long(
      self, 0, std::move(progress),
      [&](const Index& index, const BatchOptions& batch) { return index.Save(path, batch); },
      Subject::kFile);
}

void SaveDiskannFiles(const IndexHandle& self, const std::string& prefix, bool dynamic) {
  Long(
      self, 0, nb::none(),
      [&](const Index& index, const BatchOptions&) {
        return SaveDiskann(index, prefix, {.dynamic = dynamic});
      },
      Subject::kFile);
}

}  // namespace

void BindIndex(nb::module_& module) {
  using nb::arg;
  nb::class_<IndexHandle> type(module, "Index");
  BindSearching(type);
  type.def_static("create", &Create, arg("options"), arg("runtime"))
      .def_static("load", &Load, arg("path"), arg("runtime"), arg("threads"),
                  arg("progress").none())
      .def_static("load_diskann", &LoadDiskannFiles, arg("prefix"), arg("options"), arg("runtime"),
                  arg("tags"), arg("threads"))
      .def("insert", &Insert, arg("id"), arg("vector"))
      .def("upsert", &Upsert, arg("id"), arg("vector"))
      .def("delete", &Delete, arg("id"))
      .def("insert_many", &InsertMany, arg("ids"), arg("vectors"), arg("threads"),
           arg("progress").none())
      .def("upsert_many", &UpsertMany, arg("ids"), arg("vectors"), arg("threads"),
           arg("progress").none())
      .def("delete_many", &DeleteMany, arg("ids"), arg("threads"), arg("progress").none())
      .def("get_many", &GetMany, arg("ids"), arg("threads"))
      .def("contains_many", &ContainsMany, arg("ids"))
      .def("ids", &Ids)
      .def("stats", &Stats)
      .def("save", &Save, arg("path"), arg("progress").none())
      .def("save_diskann", &SaveDiskannFiles, arg("prefix"), arg("dynamic"));
  type.def(
      "clear",
      [](const IndexHandle& self, int64_t threads, nb::object progress) {
        Long(self, threads, std::move(progress),
             [](Index& index, const BatchOptions& batch) { return index.Clear(batch); });
      },
      arg("threads"), arg("progress").none());
  type.def(
      "consolidate",
      [](const IndexHandle& self, int64_t threads, nb::object progress) {
        Long(self, threads, std::move(progress),
             [](Index& index, const BatchOptions& batch) { return index.Consolidate(batch); });
      },
      arg("threads"), arg("progress").none());
  type.def(
      "compact",
      [](const IndexHandle& self, int64_t threads, nb::object progress) {
        return Long(self, threads, std::move(progress),
                    [](Index& index, const BatchOptions& batch) { return index.Compact(batch); });
      },
      arg("threads"), arg("progress").none());
  type.def(
      "refine",
      [](const IndexHandle& self, int64_t threads, nb::object progress) {
        Long(self, threads, std::move(progress),
             [](Index& index, const BatchOptions& batch) { return index.Refine(batch); });
      },
      arg("threads"), arg("progress").none());
  type.def("check_structure", [](const IndexHandle& self) {
    const std::shared_ptr<Index> index = self.Use();
    ValueOf(WithoutGil([&] { return index->CheckStructure(); }), Subject::kFile);
  });
}

}  // namespace shoal::python
