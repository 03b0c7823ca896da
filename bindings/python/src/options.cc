#include "options.h"

#include <nanobind/stl/string.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <type_traits>

#include "calls.h"

namespace shoal::python {
namespace {

nb::dict DictOf(const WorkCounters& work) {
  nb::dict dict;
  dict["distances"] = work.distances;
  dict["hops"] = work.hops;
  dict["rows_fetched"] = work.rows_fetched;
  dict["reranked"] = work.reranked;
  dict["lists_read"] = work.lists_read;
  dict["lists_written"] = work.lists_written;
  dict["prunes"] = work.prunes;
  dict["filter_checks"] = work.filter_checks;
  dict["filter_scans"] = work.filter_scans;
  dict["filter_traversals"] = work.filter_traversals;
  dict["filter_two_hops"] = work.filter_two_hops;
  dict["filter_fallbacks"] = work.filter_fallbacks;
  return dict;
}

nb::dict DictOf(const MemoryBreakdown& memory) {
  nb::dict dict;
  dict["vectors"] = memory.vectors;
  dict["neighbors"] = memory.neighbors;
  dict["reverse_lists"] = memory.reverse_lists;
  dict["slots"] = memory.slots;
  dict["id_map"] = memory.id_map;
  dict["labels"] = memory.labels;
  dict["scratch"] = memory.scratch;
  return dict;
}

// An option's number. TypeError: it is none; ValueError: out of the type's range.
template <class T>
T NumberOf(const char* field, const nb::object& value) {
  T number{};
  if (nb::try_cast<T>(value, number)) return number;
  std::string expected = "a number";
  if constexpr (std::is_integral_v<T>)
    expected = "an integer from 0 to " + std::to_string(std::numeric_limits<T>::max());
  const std::string message =
      std::string(field) + ": expected " + expected + ", found " + nb::repr(value).c_str();
  if (PyIndex_Check(value.ptr()) != 0) throw nb::value_error(message.c_str());
  throw nb::type_error(message.c_str());
}

}  // namespace

nb::dict DictOf(const IndexStats& stats) {
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

RuntimeOptions RuntimeOf(nb::handle options) {
  constexpr std::array kPolicies = {"immediate", "background", "manual"};
  RuntimeOptions runtime;
  runtime.memory_limit = NumberOf<uint64_t>("memory_limit", options[0]);
  const auto repair = nb::cast<std::string>(nb::str(nb::object(options[1])));
  const auto* policy = std::find(kPolicies.begin(), kPolicies.end(), repair);
  if (policy == kPolicies.end())
    Raise({ErrorCode::kInvalidArgument,
           "repair: expected immediate, background or manual, found " + repair});
  runtime.repair = static_cast<RepairPolicy>(policy - kPolicies.begin());
  runtime.repair_threads = NumberOf<uint32_t>("repair_threads", options[2]);
  runtime.repair_share = NumberOf<uint32_t>("repair_share", options[3]);
  return runtime;
}

IndexOptions OptionsOf(nb::handle dict, nb::handle runtime) {
  const auto metric = ParseMetric(nb::cast<std::string>(dict["metric"]));
  const auto type = ParseScalarType(nb::cast<std::string>(dict["dtype"]));
  const auto code = ParseCode(nb::cast<std::string>(dict["code"]));
  const auto rerank_code = ParseCode(nb::cast<std::string>(dict["rerank_code"]));
  if (!metric || !type || !code || !rerank_code)
    throw nb::value_error("metric, dtype, code or rerank_code: no such name");
  return {.dim = NumberOf<uint32_t>("dim", dict["dim"]),
          .scalar_type = *type,
          .metric = *metric,
          .code = *code,
          .rerank_code = *rerank_code,
          .max_degree = NumberOf<uint32_t>("max_degree", dict["max_degree"]),
          .build_list_size = NumberOf<uint32_t>("build_list_size", dict["build_list_size"]),
          .alpha = NumberOf<float>("alpha", dict["alpha"]),
          .runtime = RuntimeOf(runtime)};
}

nb::tuple TupleOf(const BatchReport& report) {
  nb::list rows, exceptions;
  for (const BatchReport::Failure& failure : report.failures) {
    rows.append(failure.row);
    exceptions.append(ExceptionOf(failure.error));
  }
  return nb::make_tuple(report.done, rows, exceptions, !report.status);
}

}  // namespace shoal::python
