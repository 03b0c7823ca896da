// Where an index's vectors live: the library's stores, and stores written in Python.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <string>

#include "shoal/feature_store.h"
#include "shoal/options.h"

namespace shoal::python {

namespace nb = nanobind;

// The store that `features` names: ("ram",), ("mmap", path), ("disk", path, engine, direct,
// cache_bytes, queue_depth), ("dataset", path, ids or None), or ("python", adaptor)
// (shoal/_features.py).
std::unique_ptr<FeatureStore> FeaturesOf(nb::handle features, const IndexOptions& options);

// What the index of a snapshot is.
IndexOptions SavedOptions(const std::string& path);

}  // namespace shoal::python
