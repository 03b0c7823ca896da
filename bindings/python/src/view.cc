// shoal._shoal.View: a snapshot that is searched in its file.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <utility>

#include "pages.h"
#include "searching.h"
#include "shoal/index_view.h"
#include "stores.h"

namespace shoal::python {

using ViewHandle = Handle<IndexView>;

namespace {

// The value of the enum that a name has; ValueError names the field and what it may be.
template <class Enum>
Enum OneOf(const char* field, const std::string& name,
           std::initializer_list<std::pair<const char*, Enum>> values) {
  std::string known;
  for (const auto& [value_name, value] : values) {
    if (name == value_name) return value;
    known += std::string(known.empty() ? "" : " or ") + value_name;
  }
  Raise({ErrorCode::kInvalidArgument,
         std::string(field) + ": expected " + known + ", found " + name});
}

ViewHandle* Open(const std::string& path, nb::handle features, const std::string& memory,
                 const std::string& list_codes, int64_t threads) {
  using Memory = ViewOptions::Memory;
  using ListCodes = ViewOptions::ListCodes;
  const ViewOptions options{
      .memory = OneOf<Memory>("memory", memory,
                              {{"mapped", Memory::kMapped},
                               {"paged", Memory::kPaged},
                               {"copied", Memory::kCopied},
                               {"copied_codes", Memory::kCopiedCodes}}),
      .list_codes = OneOf<ListCodes>("list_codes", list_codes,
                                     {{"saved", ListCodes::kAsSaved}, {"make", ListCodes::kMake}}),
      .threads = CountOf("threads", threads)};
  std::unique_ptr<FeatureStore> store;
  if (!features.is_none()) store = FeaturesOf(features, SavedOptions(path));
  return new ViewHandle(ValueOf(WithoutGil([&] {
    return store == nullptr ? IndexView::Open(path, options)
                            : IndexView::OpenWithFeatures(path, std::move(store), options);
  })));
}

}  // namespace

void BindPages(nb::module_& module) {
  nb::class_<PagedSearch>(module, "Pages").def("next", &PagedSearch::Next, nb::arg("k"));
}

void BindView(nb::module_& module) {
  using nb::arg;
  nb::class_<ViewHandle> type(module, "View");
  BindSearching(type);
  BindCalibration(type);
  BindSearchPages(type);
  type.def_static("open", &Open, arg("path"), arg("features").none(), arg("memory"),
                  arg("list_codes"), arg("threads"))
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
                                 [&](const BatchOptions& batch) { return view->Verify(batch); }));
          },
          arg("threads"), arg("progress").none());
}

}  // namespace shoal::python
