// The searches of Index, IndexView, and of a database's indexes and snapshots: the same functions.
#pragma once

#include <nanobind/nanobind.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "arrays.h"
#include "calls.h"
#include "filters.h"
#include "shoal/database.h"
#include "shoal/index.h"
#include "shoal/index_view.h"

namespace shoal::python {

// A count that Python gave: InvalidArgument if it is negative.
size_t CountOf(const char* field, int64_t value);

// (ids, distances) of the hits, as new arrays.
nb::tuple ArraysOf(const std::vector<Hit>& hits);
// (limits, ids, distances).
nb::tuple ArraysOf(const RangeHits& hits);
// (ids, distances) with the first n elements of these arrays.
nb::tuple FrontOf(const NewArray<uint64_t>& ids, const NewArray<float>& distances, size_t n);

// What searches an engine that Python owns.
template <class Engine>
const Engine& Searched(const Engine& engine) {
  return engine;
}
inline const Index& Searched(const StoredIndex& index) { return index.live(); }

// Raises what a function of the filter raised, else the result's error; else gives its value.
template <class T>
T ValueOf(Result<T> result, SearchFilter& filter) {
  if (!result) filter.Rethrow();
  return ValueOf(std::move(result));
}

// How Python says how a search is done.
struct SearchArguments {
  int64_t list_size;
  int64_t rerank;
  double target_recall;
  int64_t max_per_label;
  nb::handle filter;
};

struct RangeArguments {
  float radius;
  int64_t list_size;
  nb::handle filter;
};

SearchOptions OptionsOf(int64_t k, const SearchArguments& arguments, const SearchFilter& filter);

// What a search of one query does: ids (n,) uint64 and distances (n,) float32, n <= k.
template <class Engine>
nb::tuple Search(const Handle<Engine>& handle, nb::handle query, int64_t k,
                 const SearchArguments& arguments) {
  const std::shared_ptr<Engine> engine = handle.Use();
  const auto& searched = Searched(*engine);
  const VectorArray array = VectorsOf(query, searched.options());
  SearchFilter filter(arguments.filter);
  constexpr size_t kMore = 64;  // Points that may come meanwhile.
  SearchOptions options = OptionsOf(k, arguments, filter);
  if (options.k > searched.size() + kMore) {
    options.search_list_size = std::max(options.search_list_size, options.k);
    options.k = searched.size() + kMore;
  }
  const NewArray<uint64_t> ids = NewIds(options.k);
  const NewArray<float> distances = NewDistances(options.k);
  Result<size_t> found = WithoutGil([&] {
    return searched.Search(array.vector(), options, ids.elements(), distances.elements());
  });
  return FrontOf(ids, distances, ValueOf(std::move(found), filter));
}

// Rows are padded with distance infinity and id 2^64 - 1.
void Pad(const NewArray<uint64_t>& ids, const NewArray<float>& distances,
         const NewArray<uint32_t>& counts);

// OutOfMemory: the hits of n queries would take more than half of this machine's memory. (The
// system would give it, and end the process when it is written to.)
void CheckFits(size_t n, size_t k);

// (ids (n, k), distances (n, k), counts (n,) uint32), of n queries.
template <class Engine>
nb::tuple SearchMany(const Handle<Engine>& handle, nb::handle queries, int64_t k,
                     const SearchArguments& arguments, const BatchCall& call) {
  const std::shared_ptr<Engine> engine = handle.Use();
  const auto& searched = Searched(*engine);
  const VectorArray array = VectorsOf(queries, searched.options());
  SearchFilter filter(arguments.filter);
  const SearchOptions options = OptionsOf(k, arguments, filter);
  CheckFits(array.rows, options.k);
  const NewArray<uint64_t> ids = NewIds(array.rows, options.k);
  const NewArray<float> distances = NewDistances(array.rows, options.k);
  const NewArray<uint32_t> counts = NewCounts(array.rows);
  const SearchManyOutput output{ids.elements(), distances.elements(), counts.elements()};
  Status status =
      ResultOfLong({call.threads, call.progress, array.rows}, [&](const BatchOptions& batch) {
        return searched.SearchMany(array.matrix(), options, output, batch);
      });
  ValueOf(std::move(status), filter);
  Pad(ids, distances, counts);
  return nb::make_tuple(ids.object, distances.object, counts.object);
}

// (ids, distances) of the points within `radius`, nearest first.
template <class Engine>
nb::tuple RangeSearch(const Handle<Engine>& handle, nb::handle query, float radius,
                      int64_t list_size, nb::handle filter_object) {
  const std::shared_ptr<Engine> engine = handle.Use();
  const auto& searched = Searched(*engine);
  const VectorArray array = VectorsOf(query, searched.options());
  SearchFilter filter(filter_object);
  const RangeOptions options{.radius = radius,
                             .search_list_size = CountOf("list_size", list_size),
                             .filter = filter.get()};
  return ArraysOf(
      ValueOf(WithoutGil([&] { return searched.RangeSearch(array.vector(), options); }), filter));
}

// (limits (n + 1,) uint64, ids, distances) of the points within `radius` of n queries.
template <class Engine>
nb::tuple RangeSearchMany(const Handle<Engine>& handle, nb::handle queries,
                          const RangeArguments& arguments, const BatchCall& call) {
  const std::shared_ptr<Engine> engine = handle.Use();
  const auto& searched = Searched(*engine);
  const VectorArray array = VectorsOf(queries, searched.options());
  SearchFilter filter(arguments.filter);
  const RangeOptions options{.radius = arguments.radius,
                             .search_list_size = CountOf("list_size", arguments.list_size),
                             .filter = filter.get()};
  Result<RangeHits> found =
      ResultOfLong({call.threads, call.progress, array.rows}, [&](const BatchOptions& batch) {
        return searched.RangeSearchMany(array.matrix(), options, batch);
      });
  return ArraysOf(ValueOf(std::move(found), filter));
}

// The vector of an id, as a new array.
template <class Engine>
nb::object Get(const Handle<Engine>& handle, uint64_t id) {
  const std::shared_ptr<Engine> engine = handle.Use();
  const auto& searched = Searched(*engine);
  const IndexOptions& options = searched.options();
  const NewArray<void> vector = NewVector(options.scalar_type, options.dim);
  const MutableVectorView out{vector.data, options.scalar_type, options.dim};
  ValueOf(WithoutGil([&] { return searched.Get(id, out); }));
  return vector.object;
}

// A feature store of Python is asked by threads that hold the library's locks: so no call that may
// wait for one holds the GIL.
template <class Engine>
bool Contains(const Handle<Engine>& handle, uint64_t id) {
  const std::shared_ptr<Engine> engine = handle.Use();
  const auto& searched = Searched(*engine);
  auto contained = WithoutGil([&] { return searched.Contains(id); });
  if constexpr (std::is_same_v<decltype(contained), bool>)
    return contained;
  else
    return ValueOf(std::move(contained));
}

// As many ids as are there, as a new array.
nb::object ArrayOf(std::span<const uint64_t> ids);

nb::dict DictOf(const IndexOptions& options);
nb::dict DictOf(const Calibration& calibration);

// Binds what all engines have.
template <class Engine>
void BindSearching(nb::class_<Handle<Engine>>& type) {
  using H = Handle<Engine>;
  using nb::arg;
  type.def(
          "search",
          [](const H& self, nb::handle query, int64_t k, int64_t list_size, int64_t rerank,
             double target_recall, int64_t max_per_label, nb::handle filter) {
            return Search(self, query, k,
                          {list_size, rerank, target_recall, max_per_label, filter});
          },
          arg("query"), arg("k"), arg("list_size"), arg("rerank"), arg("target_recall"),
          arg("max_per_label"), arg("filter").none())
      .def(
          "search_many",
          [](const H& self, nb::handle queries, int64_t k, int64_t list_size, int64_t rerank,
             double target_recall, int64_t max_per_label, nb::handle filter, int64_t threads,
             nb::object progress) {
            return SearchMany(self, queries, k,
                              {list_size, rerank, target_recall, max_per_label, filter},
                              {CountOf("threads", threads), std::move(progress)});
          },
          arg("queries"), arg("k"), arg("list_size"), arg("rerank"), arg("target_recall"),
          arg("max_per_label"), arg("filter").none(), arg("threads"), arg("progress").none())
      .def("range_search", &RangeSearch<Engine>, arg("query"), arg("radius"), arg("list_size"),
           arg("filter").none())
      .def(
          "range_search_many",
          [](const H& self, nb::handle queries, float radius, int64_t list_size, nb::handle filter,
             int64_t threads, nb::object progress) {
            return RangeSearchMany(self, queries, {radius, list_size, filter},
                                   {CountOf("threads", threads), std::move(progress)});
          },
          arg("queries"), arg("radius"), arg("list_size"), arg("filter").none(), arg("threads"),
          arg("progress").none())
      .def("get", &Get<Engine>, arg("id"))
      .def("contains", &Contains<Engine>, arg("id"))
      .def("size", [](const H& self) { return Searched(*self.Use()).size(); })
      .def("options", [](const H& self) { return DictOf(Searched(*self.Use()).options()); })
      .def("close", &H::Close)
      .def_prop_ro("closed", &H::closed);
}

// Binds what those have that measure: Index and IndexView.
template <class Engine>
void BindCalibration(nb::class_<Handle<Engine>>& type) {
  using H = Handle<Engine>;
  using nb::arg;
  type.def(
          "calibrate",
          [](const H& self, int64_t k, double target, int64_t threads, nb::object progress) {
            const std::shared_ptr<Engine> engine = self.Use();
            const size_t count = CountOf("k", k);
            return DictOf(ValueOf(ResultOfLong({CountOf("threads", threads), std::move(progress)},
                                               [&](const BatchOptions& batch) {
                                                 return engine->Calibrate(count, target, batch);
                                               })));
          },
          arg("k"), arg("target"), arg("threads"), arg("progress").none())
      .def(
          "calibration",
          [](const H& self, int64_t k, double target) -> nb::object {
            const std::shared_ptr<Engine> engine = self.Use();
            const size_t count = CountOf("k", k);
            const auto found = WithoutGil([&] { return engine->CalibrationFor(count, target); });
            if (!found) return nb::none();
            return DictOf(*found);
          },
          arg("k"), arg("target"));
}

void BindIndex(nb::module_& module);
void BindView(nb::module_& module);
void BindFiles(nb::module_& module);
void BindDatabase(nb::module_& module);

}  // namespace shoal::python
