// The extension module shoal._shoal: the library for the package's Python code, which is what users
// see.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <string>

#include "arrays.h"
#include "pages.h"
#include "searching.h"
#include "shoal/version.h"

NB_MODULE(_shoal, module) {
  shoal::python::ImportNumpy();
  shoal::python::BindFilters(module);
  shoal::python::BindPages(module);
  shoal::python::BindIndex(module);
  shoal::python::BindView(module);
  shoal::python::BindFiles(module);
  shoal::python::BindDatabase(module);
  module.def("version", [] { return std::string(shoal::Version()); });
  module.def("active_isa", [] { return std::string(shoal::ActiveIsa()); });
  module.def("isa_note", [] { return std::string(shoal::IsaNote()); });
}
