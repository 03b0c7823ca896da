// shoal._shoal.View: a snapshot that is searched in its file.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <memory>
#include <string>
#include <utility>

#include "searching.h"
#include "shoal/index_view.h"
#include "stores.h"

namespace shoal::python {

using ViewHandle = Handle<IndexView>;

namespace {

ViewOptions::Memory MemoryOf(const std::string& name) {
  using Memory = ViewOptions::Memory;
  if (name == "mapped") return Memory::kMapped;
  if (name == "paged") return Memory::kPaged;
  return name == "copied" ? Memory::kCopied : Memory::kCopiedCodes;  // Python has checked it.
}

}  // namespace

void BindView(nb::module_& module) {
  using nb::arg;
  nb::class_<ViewHandle> type(module, "View");
  BindSearching(type);
  BindCalibration(type);
  type.def_static(
          "open",
          [](const std::string& path, nb::handle features, const std::string& memory) {
            const ViewOptions options{.memory = MemoryOf(memory)};
            std::unique_ptr<FeatureStore> store;
            if (!features.is_none()) store = FeaturesOf(features, SavedOptions(path));
            return new ViewHandle(ValueOf(WithoutGil([&] {
                                            return store == nullptr
                                                       ? IndexView::Open(path, options)
                                                       : IndexView::OpenWithFeatures(
                                                             path, std::move(store), options);
                                          }),
                                          Subject::kFile));
          },
          arg("path"), arg("features").none(), arg("memory"))
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
