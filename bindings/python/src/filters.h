// Filters of Python: sets of ids, labels, functions, and what is combined of them.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "shoal/filter.h"

namespace shoal::python {

namespace nb = nanobind;

// The first exception of a function that a search called. It is raised when the search has ended.
class Raised {
 public:
  void Note(nb::python_error error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_.emplace(std::move(error));
  }
  // With the GIL.
  void Rethrow() {
    if (!error_) return;
    nb::python_error error = std::move(*error_);
    error_.reset();  // The next page of a search may raise again.
    throw error;
  }

 private:
  std::mutex mutex_;
  std::optional<nb::python_error> error_;
};

// What shoal._shoal.Filter is. Constant.
class FilterTree {
 public:
  // Ids or labels: the library's filter.
  explicit FilterTree(Filter filter) : fixed_(std::move(filter)) {}
  // A function: an array of ids in, an array of as many bools out.
  explicit FilterTree(nb::object function) : function_(std::move(function)) {}
  enum class Kind { kAll, kAny, kNot };
  FilterTree(Kind kind, std::vector<std::shared_ptr<const FilterTree>> parts);

  // For one search. Functions' exceptions go to `raised`, which outlives the filter.
  Filter Make(Raised& raised) const;
  bool has_function() const { return !fixed_.has_value(); }
  // For Python's garbage collector.
  const nb::object& function() const { return function_; }
  const std::vector<std::shared_ptr<const FilterTree>>& parts() const { return parts_; }

 private:
  Filter Combine(std::span<const Filter> parts) const;

  std::optional<Filter> fixed_;  // Where no function is in it.
  nb::object function_;
  Kind kind_ = Kind::kAll;
  std::vector<std::shared_ptr<const FilterTree>> parts_;
};

struct FilterObject {
  std::shared_ptr<const FilterTree> tree;
};

// A search's filter, as Python gave it: None, or a shoal._shoal.Filter.
class SearchFilter {
 public:
  explicit SearchFilter(nb::handle filter);
  const Filter* get() const { return filter_ ? &*filter_ : nullptr; }
  // When the search has ended: what a function of the filter raised. With the GIL.
  void Rethrow() { raised_.Rethrow(); }

 private:
  Raised raised_;
  std::optional<Filter> filter_;
};

void BindFilters(nb::module_& module);

}  // namespace shoal::python
