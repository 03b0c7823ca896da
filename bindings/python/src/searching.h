// The searches of Index and of IndexView, which are the same functions.
#pragma once

#include <nanobind/nanobind.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "arrays.h"
#include "calls.h"
#include "shoal/index.h"

namespace shoal::python {

// A count that Python gave: InvalidArgument if it is negative.
size_t CountOf(const char* field, int64_t value);

// (ids, distances) of the hits, as new arrays.
nb::tuple ArraysOf(const std::vector<Hit>& hits);
// (ids, distances) with the first n elements of these arrays.
nb::tuple FrontOf(const NewArray<uint64_t>& ids, const NewArray<float>& distances, size_t n);

// What a search of one query does: ids (n,) uint64 and distances (n,) float32, n <= k.
template <class Engine>
nb::tuple Search(const Handle<Engine>& handle, nb::handle query, int64_t k, int64_t list_size,
                 int64_t rerank) {
  const std::shared_ptr<Engine> engine = handle.Use();
  const VectorArray array = VectorsOf(query, engine->options());
  constexpr size_t kMore = 64;  // Points that may come meanwhile.
  SearchOptions options{.k = CountOf("k", k),
                        .search_list_size = CountOf("list_size", list_size),
                        .rerank = CountOf("rerank", rerank)};
  if (options.k > engine->size() + kMore) {
    options.search_list_size = std::max(options.search_list_size, options.k);
    options.k = engine->size() + kMore;
  }
  const NewArray<uint64_t> ids = NewIds(options.k);
  const NewArray<float> distances = NewDistances(options.k);
  const size_t n = ValueOf(WithoutGil([&] {
    return engine->Search(array.vector(), options, ids.elements(), distances.elements());
  }));
  return FrontOf(ids, distances, n);
}

// Rows are padded with distance infinity and id 2^64 - 1.
void Pad(const NewArray<uint64_t>& ids, const NewArray<float>& distances,
         const NewArray<uint32_t>& counts);

// (ids (n, k), distances (n, k), counts (n,) uint32), of n queries.
template <class Engine>
nb::tuple SearchMany(const Handle<Engine>& handle, nb::handle queries, int64_t k, int64_t list_size,
                     int64_t rerank, int64_t threads, nb::object progress) {
  const std::shared_ptr<Engine> engine = handle.Use();
  const VectorArray array = VectorsOf(queries, engine->options());
  const SearchOptions options{.k = CountOf("k", k),
                              .search_list_size = CountOf("list_size", list_size),
                              .rerank = CountOf("rerank", rerank)};
  const NewArray<uint64_t> ids = NewIds(array.rows, options.k);
  const NewArray<float> distances = NewDistances(array.rows, options.k);
  const NewArray<uint32_t> counts = NewCounts(array.rows);
  const SearchManyOutput output{ids.elements(), distances.elements(), counts.elements()};
  ValueOf(ResultOfLong({CountOf("threads", threads), std::move(progress), array.rows},
                       [&](const BatchOptions& batch) {
                         return engine->SearchMany(array.matrix(), options, output, batch);
                       }));
  Pad(ids, distances, counts);
  return nb::make_tuple(ids.object, distances.object, counts.object);
}

// (ids, distances) of the points within `radius`, nearest first.
template <class Engine>
nb::tuple RangeSearch(const Handle<Engine>& handle, nb::handle query, float radius,
                      int64_t list_size) {
  const std::shared_ptr<Engine> engine = handle.Use();
  const VectorArray array = VectorsOf(query, engine->options());
  const RangeOptions options{.radius = radius, .search_list_size = CountOf("list_size", list_size)};
  return ArraysOf(
      ValueOf(WithoutGil([&] { return engine->RangeSearch(array.vector(), options); })));
}

// The vector of an id, as a new array.
template <class Engine>
nb::object Get(const Handle<Engine>& handle, uint64_t id) {
  const std::shared_ptr<Engine> engine = handle.Use();
  const IndexOptions& options = engine->options();
  const NewArray<void> vector = NewVector(options.scalar_type, options.dim);
  ValueOf(engine->Get(id, {vector.data, options.scalar_type, options.dim}));
  return vector.object;
}

nb::dict DictOf(const IndexOptions& options);

// Binds what both engines have.
template <class Engine>
void BindSearching(nb::class_<Handle<Engine>>& type) {
  using H = Handle<Engine>;
  type.def("search", &Search<Engine>, nb::arg("query"), nb::arg("k"), nb::arg("list_size"),
           nb::arg("rerank"))
      .def("search_many", &SearchMany<Engine>, nb::arg("queries"), nb::arg("k"),
           nb::arg("list_size"), nb::arg("rerank"), nb::arg("threads"), nb::arg("progress").none())
      .def("range_search", &RangeSearch<Engine>, nb::arg("query"), nb::arg("radius"),
           nb::arg("list_size"))
      .def("get", &Get<Engine>, nb::arg("id"))
      .def(
          "contains", [](const H& self, uint64_t id) { return self.Use()->Contains(id); },
          nb::arg("id"))
      .def("size", [](const H& self) { return self.Use()->size(); })
      .def("options", [](const H& self) { return DictOf(self.Use()->options()); })
      .def("close", &H::Close)
      .def_prop_ro("closed", &H::closed);
}

void BindIndex(nb::module_& module);
void BindView(nb::module_& module);
void BindFiles(nb::module_& module);

}  // namespace shoal::python
