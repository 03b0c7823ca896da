#include "searching.h"

#include <unistd.h>

#include <cstring>

namespace shoal::python {

size_t CountOf(const char* field, int64_t value) {
  if (value < 0)
    Raise({ErrorCode::kInvalidArgument,
           std::string(field) + ": expected 0 or more, found " + std::to_string(value)});
  return static_cast<size_t>(value);
}

void CheckFits(size_t n, size_t k) {
  constexpr double kHit = sizeof(uint64_t) + sizeof(float);
  const double bytes = kHit * static_cast<double>(n) * static_cast<double>(k);
  const double memory =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  if (bytes > memory / 2)
    Raise({ErrorCode::kOutOfMemory, "k: " + std::to_string(n) +
                                        " queries with k = " + std::to_string(k) +
                                        " hits take more than half of this machine's memory"});
}

SearchOptions OptionsOf(int64_t k, const SearchArguments& arguments, const SearchFilter& filter) {
  return {.k = CountOf("k", k),
          .search_list_size = CountOf("list_size", arguments.list_size),
          .rerank = CountOf("rerank", arguments.rerank),
          .filter = filter.get(),
          .max_per_label = CountOf("max_per_label", arguments.max_per_label),
          .target_recall = arguments.target_recall};
}

nb::object ArrayOf(std::span<const uint64_t> ids) {
  const NewArray<uint64_t> array = NewIds(ids.size());
  std::copy(ids.begin(), ids.end(), array.data);
  return array.object;
}

nb::tuple ArraysOf(const std::vector<Hit>& hits) {
  const NewArray<uint64_t> ids = NewIds(hits.size());
  const NewArray<float> distances = NewDistances(hits.size());
  for (size_t i = 0; i < hits.size(); ++i) {
    ids.data[i] = hits[i].id;
    distances.data[i] = hits[i].distance;
  }
  return nb::make_tuple(ids.object, distances.object);
}

nb::tuple ArraysOf(const RangeHits& hits) {
  const NewArray<float> distances = NewDistances(hits.distances.size());
  std::copy(hits.distances.begin(), hits.distances.end(), distances.data);
  return nb::make_tuple(ArrayOf(hits.limits), ArrayOf(hits.ids), distances.object);
}

nb::tuple FrontOf(const NewArray<uint64_t>& ids, const NewArray<float>& distances, size_t n) {
  if (n == ids.size) return nb::make_tuple(ids.object, distances.object);
  const NewArray<uint64_t> front_ids = NewIds(n);
  const NewArray<float> front_distances = NewDistances(n);
  std::copy_n(ids.data, n, front_ids.data);
  std::copy_n(distances.data, n, front_distances.data);
  return nb::make_tuple(front_ids.object, front_distances.object);
}

void Pad(const NewArray<uint64_t>& ids, const NewArray<float>& distances,
         const NewArray<uint32_t>& counts) {
  const size_t k = counts.size == 0 ? 0 : ids.size / counts.size;
  for (size_t i = 0; i < counts.size; ++i) {
    const size_t hits = counts.data[i];
    std::fill_n(ids.data + i * k + hits, k - hits, std::numeric_limits<uint64_t>::max());
    std::fill_n(distances.data + i * k + hits, k - hits, std::numeric_limits<float>::infinity());
  }
}

nb::dict DictOf(const IndexOptions& options) {
  const auto text = [](std::string_view name) { return nb::str(name.data(), name.size()); };
  nb::dict dict;
  dict["dim"] = options.dim;
  dict["dtype"] = text(ScalarTypeName(options.scalar_type));
  dict["metric"] = text(MetricName(options.metric));
  dict["code"] = text(CodeName(options.code));
  dict["rerank_code"] = text(CodeName(options.rerank_code));
  dict["max_degree"] = options.max_degree;
  dict["build_list_size"] = options.build_list_size;
  dict["alpha"] = options.alpha;
  return dict;
}

nb::dict DictOf(const Calibration& calibration) {
  nb::dict dict;
  dict["k"] = calibration.k;
  dict["target"] = calibration.target;
  dict["list_size"] = calibration.search_list_size;
  dict["rerank"] = calibration.rerank;
  dict["stop_margin"] = calibration.stop_margin;
  dict["recall"] = calibration.recall;
  dict["distances"] = calibration.distances;
  dict["queries"] = calibration.queries;
  dict["from_searches"] = calibration.from_searches;
  dict["points"] = calibration.points;
  return dict;
}

}  // namespace shoal::python
