// shoal._shoal.Index: what shoal/_index.py calls. Arguments have been converted there.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "options.h"
#include "pages.h"
#include "searching.h"
#include "shoal/diskann_files.h"
#include "stores.h"

namespace shoal::python {
namespace {

using IndexHandle = Handle<Index>;

IndexHandle* Own(Result<Index> index) { return new IndexHandle(ValueOf(std::move(index))); }

IndexHandle* Create(nb::handle options, nb::handle runtime, nb::handle features) {
  const IndexOptions index = OptionsOf(options, runtime);
  if (features.is_none()) return Own(Index::Create(index));
  return Own(Index::CreateWithFeatures(index, FeaturesOf(features, index)));
}

IndexHandle* Load(const std::string& path, nb::handle runtime, int64_t threads,
                  nb::object progress) {
  LoadOptions options{.runtime = RuntimeOf(runtime)};
  return Own(ResultOfLong({CountOf("threads", threads), std::move(progress)},
                          [&](const BatchOptions& batch) {
                            options.batch = batch;
                            return Index::Load(path, options);
                          }));
}

// Over the store that has the vectors. trust: whether they are compared with their codes.
IndexHandle* LoadWithFeatures(const std::string& path, nb::handle features, nb::handle runtime,
                              bool trust, int64_t threads, nb::object progress) {
  using StoredVectors = LoadOptions::StoredVectors;
  LoadOptions options{.runtime = RuntimeOf(runtime),
                      .stored_vectors = trust ? StoredVectors::kTrust : StoredVectors::kCheck};
  std::unique_ptr<FeatureStore> store = FeaturesOf(features, SavedOptions(path));
  return Own(ResultOfLong({CountOf("threads", threads), std::move(progress)},
                          [&](const BatchOptions& batch) {
                            options.batch = batch;
                            return Index::LoadWithFeatures(path, std::move(store), options);
                          }));
}

IndexHandle* LoadDiskannFiles(const std::string& prefix, nb::handle options, nb::handle runtime,
                              bool tags, int64_t threads) {
  DiskannLoadOptions load{.index = OptionsOf(options, runtime), .tags = tags};
  return Own(
      ResultOfLong({CountOf("threads", threads), nb::none()}, [&](const BatchOptions& batch) {
        load.batch = batch;
        return LoadDiskann(prefix, load);
      }));
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

// Labels of many rows, as Python gave them: None, or (labels uint32, limits uint64).
class Labels {
 public:
  explicit Labels(nb::handle labels) {
    if (labels.is_none()) return;
    rows_.labels = Uint32sOf(labels[0]);
    rows_.limits = IdsOf(labels[1]);
    given_ = true;
  }
  const LabelRows* get() const { return given_ ? &rows_ : nullptr; }

 private:
  LabelRows rows_;
  bool given_ = false;
};

nb::tuple InsertMany(const IndexHandle& self, nb::handle ids, nb::handle vectors, nb::handle labels,
                     int64_t threads, nb::object progress) {
  const Labels own(labels);
  return OnRows(self, ids, vectors, threads, std::move(progress),
                [&](Index& index, std::span<const uint64_t> id_span, MatrixView rows,
                    const BatchOptions& batch) {
                  return own.get() == nullptr ? index.InsertMany(id_span, rows, batch)
                                              : index.InsertMany(id_span, *own.get(), rows, batch);
                });
}

nb::tuple UpsertMany(const IndexHandle& self, nb::handle ids, nb::handle vectors, nb::handle labels,
                     int64_t threads, nb::object progress) {
  const Labels own(labels);
  return OnRows(self, ids, vectors, threads, std::move(progress),
                [&](Index& index, std::span<const uint64_t> id_span, MatrixView rows,
                    const BatchOptions& batch) {
                  return own.get() == nullptr ? index.UpsertMany(id_span, rows, batch)
                                              : index.UpsertMany(id_span, *own.get(), rows, batch);
                });
}

nb::tuple DeleteMany(const IndexHandle& self, nb::handle ids, int64_t threads,
                     nb::object progress) {
  const std::shared_ptr<Index> index = self.Use();
  const std::span<const uint64_t> id_span = IdsOf(ids);
  return TupleOf(ValueOf(
      ResultOfLong({CountOf("threads", threads), std::move(progress), id_span.size()},
                   [&](const BatchOptions& batch) { return index->DeleteMany(id_span, batch); })));
}

void Insert(const IndexHandle& self, uint64_t id, nb::handle vector, nb::handle labels) {
  const std::shared_ptr<Index> index = self.Use();
  const VectorArray array = VectorsOf(vector, index->options());
  if (labels.is_none()) {
    ValueOf(WithoutGil([&] { return index->Insert(id, array.vector()); }));
  } else {
    const std::span<const uint32_t> own = Uint32sOf(labels);
    ValueOf(WithoutGil([&] { return index->Insert(id, array.vector(), own); }));
  }
}

void Upsert(const IndexHandle& self, uint64_t id, nb::handle vector, nb::handle labels) {
  const std::shared_ptr<Index> index = self.Use();
  const VectorArray array = VectorsOf(vector, index->options());
  if (labels.is_none()) {
    ValueOf(WithoutGil([&] { return index->Upsert(id, array.vector()); }));
  } else {
    const std::span<const uint32_t> own = Uint32sOf(labels);
    ValueOf(WithoutGil([&] { return index->Upsert(id, array.vector(), own); }));
  }
}

void SetLabels(const IndexHandle& self, uint64_t id, nb::handle labels) {
  const std::shared_ptr<Index> index = self.Use();
  const std::span<const uint32_t> own = Uint32sOf(labels);
  ValueOf(WithoutGil([&] { return index->SetLabels(id, own); }));
}

nb::object LabelsOf(const IndexHandle& self, uint64_t id) {
  const std::shared_ptr<Index> index = self.Use();
  const auto labels = ValueOf(WithoutGil([&] { return index->Labels(id); }));
  const NewArray<uint32_t> array = NewCounts(labels.size());
  std::copy(labels.begin(), labels.end(), array.data);
  return array.object;
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
  return ArrayOf(ValueOf(WithoutGil([&] { return index->Ids(); })));
}

nb::dict Stats(const IndexHandle& self) {
  const std::shared_ptr<Index> index = self.Use();
  return DictOf(WithoutGil([&] { return index->Stats(); }));
}

// A long call that has no rows: call(index, batch) gives a Result.
template <class Call>
auto Long(const IndexHandle& self, int64_t threads, nb::object progress, const Call& call) {
  const std::shared_ptr<Index> index = self.Use();
  return ValueOf(ResultOfLong({CountOf("threads", threads), std::move(progress)},
                              [&](const BatchOptions& batch) { return call(*index, batch); }));
}

// vectors: whether they are in the file; if not, they are put to the store that `features` names,
// or, where that is None, are in the index's own. beside, near: of SaveOptions.
void Save(const IndexHandle& self, const std::string& path, bool vectors, nb::handle features,
          bool beside, bool near, nb::object progress) {
  const SaveOptions options{
      .list_codes = beside ? SaveOptions::ListCodes::kBeside : SaveOptions::ListCodes::kNone,
      .order = near ? SaveOptions::Order::kNeighbors : SaveOptions::Order::kSlots};
  std::unique_ptr<FeatureStore> to;
  if (!features.is_none()) to = FeaturesOf(features, self.Use()->options());
  Long(self, 0, std::move(progress), [&](const Index& index, const BatchOptions& batch) {
    if (to != nullptr) return index.SaveToFeatures(path, *to, batch, options);
    return vectors ? index.Save(path, batch, options)
                   : index.SaveWithoutVectors(path, batch, options);
  });
}

// write(bytes) of Python takes a snapshot piece by piece.
void SaveTo(const IndexHandle& self, nb::object write) {
  const std::shared_ptr<Index> index = self.Use();
  Raised raised;
  const ByteSink sink = [&](std::span<const std::byte> piece) -> Status {
    const nb::gil_scoped_acquire acquired;
    try {
      write(nb::bytes(piece.data(), piece.size()));
      return {};
    } catch (nb::python_error& error) {
      raised.Note(std::move(error));
      return MakeError(ErrorCode::kCancelled, "save: an exception");
    }
  };
  Status saved = WithoutGil([&] { return index->SaveTo(sink); });
  if (!saved) raised.Rethrow();
  ValueOf(std::move(saved));
}

// read(n) of Python gives at most n bytes, none at the end.
IndexHandle* LoadFrom(nb::object read, nb::handle runtime, int64_t threads) {
  const LoadOptions options{.runtime = RuntimeOf(runtime),
                            .batch = {.threads = CountOf("threads", threads)}};
  Raised raised;
  const ByteSource source = [&](std::span<std::byte> out) -> Result<size_t> {
    const nb::gil_scoped_acquire acquired;
    try {
      const nb::object piece = read(out.size());
      char* data = nullptr;
      Py_ssize_t size = 0;
      if (PyBytes_AsStringAndSize(piece.ptr(), &data, &size) != 0) throw nb::python_error();
      const auto n = static_cast<size_t>(size);
      std::memcpy(out.data(), data, std::min(n, out.size()));
      return n;
    } catch (nb::python_error& error) {
      raised.Note(std::move(error));
      return MakeError(ErrorCode::kCancelled, "load: an exception");
    }
  };
  Result<Index> loaded = WithoutGil([&] { return Index::LoadFrom(source, options); });
  if (!loaded) raised.Rethrow();
  return Own(std::move(loaded));
}

void SaveDiskannFiles(const IndexHandle& self, const std::string& prefix, bool dynamic) {
  Long(self, 0, nb::none(), [&](const Index& index, const BatchOptions&) {
    return SaveDiskann(index, prefix, {.dynamic = dynamic});
  });
}

}  // namespace

void BindIndex(nb::module_& module) {
  using nb::arg;
  nb::class_<IndexHandle> type(module, "Index");
  BindSearching(type);
  BindCalibration(type);
  BindSearchPages(type);
  type.def_static("create", &Create, arg("options"), arg("runtime"), arg("features").none())
      .def_static("load", &Load, arg("path"), arg("runtime"), arg("threads"),
                  arg("progress").none())
      .def_static("load_with_features", &LoadWithFeatures, arg("path"), arg("features"),
                  arg("runtime"), arg("trust"), arg("threads"), arg("progress").none())
      .def_static("load_from", &LoadFrom, arg("read"), arg("runtime"), arg("threads"))
      .def_static("load_diskann", &LoadDiskannFiles, arg("prefix"), arg("options"), arg("runtime"),
                  arg("tags"), arg("threads"))
      .def("insert", &Insert, arg("id"), arg("vector"), arg("labels").none())
      .def("upsert", &Upsert, arg("id"), arg("vector"), arg("labels").none())
      .def("delete", &Delete, arg("id"))
      .def("set_labels", &SetLabels, arg("id"), arg("labels"))
      .def("labels", &LabelsOf, arg("id"))
      .def("insert_many", &InsertMany, arg("ids"), arg("vectors"), arg("labels").none(),
           arg("threads"), arg("progress").none())
      .def("upsert_many", &UpsertMany, arg("ids"), arg("vectors"), arg("labels").none(),
           arg("threads"), arg("progress").none())
      .def("delete_many", &DeleteMany, arg("ids"), arg("threads"), arg("progress").none())
      .def("get_many", &GetMany, arg("ids"), arg("threads"))
      .def("contains_many", &ContainsMany, arg("ids"))
      .def("ids", &Ids)
      .def("stats", &Stats)
      .def("save", &Save, arg("path"), arg("vectors"), arg("features").none(), arg("beside"),
           arg("near"), arg("progress").none())
      .def("save_to", &SaveTo, arg("write"))
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
    ValueOf(WithoutGil([&] { return index->CheckStructure(); }));
  });
}

}  // namespace shoal::python
