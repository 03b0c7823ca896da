// Options, reports and counts as Python has them.
#pragma once

#include <nanobind/nanobind.h>

#include "shoal/index.h"

namespace shoal::python {

namespace nb = nanobind;

// How an index runs: (memory_limit, repair, repair_threads, repair_share).
RuntimeOptions RuntimeOf(nb::handle options);
// What an index is: the keys of DictOf(IndexOptions).
IndexOptions OptionsOf(nb::handle dict, nb::handle runtime);

// (done, rows that failed, their exceptions, cancelled).
nb::tuple TupleOf(const BatchReport& report);

nb::dict DictOf(const IndexStats& stats);

}  // namespace shoal::python
