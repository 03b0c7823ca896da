// shoal._shoal.View: a snapshot that is searched in its file.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <string>

#include "searching.h"
#include "shoal/index_view.h"

namespace shoal::python {

using ViewHandle = Handle<IndexView>;

void BindView(nb::module_& module) {
  using nb::arg;
  nb::class_<ViewHandle> type(module, "View");
  BindSearching(type);
  BindCalibration(type);
  type.def_static(
          "open",
          [](const std::string& path) {
            return new ViewHandle(
                ValueOf(WithoutGil([&] { return IndexView::Open(path); }), Subject::kFile));
          },
          arg("path"))
      .def("ids",
           [](const ViewHandle& self) {
             const std::shared_ptr<IndexView> view = self.Use();
             return ArrayOf(view->ids());
           })
      .def(
          "verify",
          [](const ViewHandle& self, int64_t threads, nb::object progress) {
            const std::shared_ptr<IndexView> view = self.Use();
            ValueOf(ResultOfLong({CountOf("threads", threads), std::move(progress)},
                                 [&](const BatchOptions& batch) { return view->Verify(batch); }),
                    Subject::kFile);
          },
          arg("threads"), arg("progress").none());
}

}  // namespace shoal::python
