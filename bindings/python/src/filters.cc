#include "filters.h"

#include <algorithm>
#include <stdexcept>

#include "arrays.h"

namespace shoal::python {
namespace {

// Calls the function of Python. By any thread of a search, without the GIL.
void Ask(const nb::object& function, Raised& raised, std::span<const ExternalId> ids,
         std::span<uint8_t> accepted) {
  const nb::gil_scoped_acquire acquired;
  try {
    const NewArray<uint64_t> asked = NewIds(ids.size());
    std::copy(ids.begin(), ids.end(), asked.data);
    const nb::object answer = function(asked.object);
    const std::span<const uint8_t> flags = FlagsOf(answer);
    if (flags.size() != ids.size()) {
      PyErr_Format(PyExc_ValueError, "filter: expected %zu answers, found %zu", ids.size(),
                   flags.size());
      throw nb::python_error();
    }
    std::copy(flags.begin(), flags.end(), accepted.begin());
  } catch (nb::python_error& error) {
    raised.Note(std::move(error));
    throw std::runtime_error("an exception");
  } catch (const nb::builtin_exception& error) {
    PyErr_SetString(PyExc_TypeError, error.what());
    raised.Note(nb::python_error());
    throw std::runtime_error("an exception");
  }
}

std::vector<std::shared_ptr<const FilterTree>> PartsOf(nb::handle filters) {
  std::vector<std::shared_ptr<const FilterTree>> parts;
  for (const nb::handle filter : filters)
    parts.push_back(nb::cast<const FilterObject&>(filter).tree);
  return parts;
}

FilterObject Combined(FilterTree::Kind kind, nb::handle filters) {
  return {std::make_shared<FilterTree>(kind, PartsOf(filters))};
}

// A function may know what holds the filter.
int Traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  if (!nb::inst_ready(self)) return 0;
  const auto& tree = nb::inst_ptr<FilterObject>(self)->tree;
  // What it shares with others is theirs, too.
  if (tree == nullptr || tree.use_count() > 1) return 0;
  Py_VISIT(tree->function().ptr());
  return 0;
}

int Clear(PyObject* self) {
  nb::inst_ptr<FilterObject>(self)->tree.reset();
  return 0;
}

PyType_Slot collected[] = {{Py_tp_traverse, reinterpret_cast<void*>(&Traverse)},
                           {Py_tp_clear, reinterpret_cast<void*>(&Clear)},
                           {0, nullptr}};

}  // namespace

FilterTree::FilterTree(Kind kind, std::vector<std::shared_ptr<const FilterTree>> parts)
    : kind_(kind), parts_(std::move(parts)) {
  std::vector<Filter> fixed;
  for (const auto& part : parts_)
    if (!part->has_function()) fixed.push_back(*part->fixed_);
  if (fixed.size() == parts_.size()) fixed_ = Combine(fixed);
}

Filter FilterTree::Combine(std::span<const Filter> parts) const {
  switch (kind_) {
    case Kind::kAll: return Filter::All(parts);
    case Kind::kAny: return Filter::Any(parts);
    default: return Filter::Not(parts.front());
  }
}

Filter FilterTree::Make(Raised& raised) const {
  if (fixed_) return *fixed_;
  if (parts_.empty())  // The caller holds the tree, and so the function.
    return Filter::Where(
        [this, &raised](std::span<const ExternalId> ids, std::span<uint8_t> accepted) {
          Ask(function_, raised, ids, accepted);
        });
  std::vector<Filter> parts;
  parts.reserve(parts_.size());
  for (const auto& part : parts_) parts.push_back(part->Make(raised));
  return Combine(parts);
}

SearchFilter::SearchFilter(nb::handle filter) {
  if (!filter.is_none()) filter_ = nb::cast<const FilterObject&>(filter).tree->Make(raised_);
}

void BindFilters(nb::module_& module) {
  using nb::arg;
  using Kind = FilterTree::Kind;
  nb::class_<FilterObject>(module, "Filter", nb::type_slots(collected))
      .def_static(
          "ids",
          [](nb::handle ids) {
            return FilterObject{std::make_shared<FilterTree>(Filter::Ids(IdsOf(ids)))};
          },
          arg("ids"))
      .def_static(
          "label",
          [](uint32_t label) {
            return FilterObject{std::make_shared<FilterTree>(Filter::Label(label))};
          },
          arg("label"))
      .def_static(
          "where",
          [](nb::object function) {
            return FilterObject{std::make_shared<FilterTree>(std::move(function))};
          },
          arg("function"))
      .def_static(
          "all", [](nb::handle parts) { return Combined(Kind::kAll, parts); }, arg("parts"))
      .def_static(
          "any", [](nb::handle parts) { return Combined(Kind::kAny, parts); }, arg("parts"))
      .def_static(
          "negate", [](nb::handle parts) { return Combined(Kind::kNot, parts); }, arg("parts"));
}

}  // namespace shoal::python
