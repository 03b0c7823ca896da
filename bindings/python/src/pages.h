// A search in pages, of Index and IndexView.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <utility>

#include "searching.h"
#include "shoal/pages.h"

namespace shoal::python {

// Where a search stands. It keeps the engine, which Close would let go, and the filter, whose
// functions are asked for each page.
class PagedSearch {
 public:
  PagedSearch(std::shared_ptr<const void> engine, nb::object filter_object,
              std::unique_ptr<SearchFilter> filter, Pages pages)
      : engine_(std::move(engine)),
        filter_object_(std::move(filter_object)),
        filter_(std::move(filter)),
        pages_(std::move(pages)),
        fork_depth_(ForkDepth()) {}
  PagedSearch(const PagedSearch&) = delete;
  PagedSearch& operator=(const PagedSearch&) = delete;
  ~PagedSearch() {
    WithoutGil([&] {
      pages_.reset();
      engine_.reset();
    });
  }

  // (ids, distances) of the next k hits. Any thread; one waits for the other.
  nb::tuple Next(int64_t k) {
    if (fork_depth_ != ForkDepth()) throw std::runtime_error("it belongs to the parent process");
    const NewArray<uint64_t> ids = NewIds(CountOf("k", k));
    const NewArray<float> distances = NewDistances(ids.size);
    Result<size_t> found = WithoutGil([&] {
      const std::lock_guard lock(mutex_);
      return pages_->Next(ids.elements(), distances.elements());
    });
    return FrontOf(ids, distances, ValueOf(std::move(found), *filter_));
  }

 private:
  std::shared_ptr<const void> engine_;
  const nb::object filter_object_;
  const std::unique_ptr<SearchFilter> filter_;
  std::optional<Pages> pages_;
  std::mutex mutex_;
  const size_t fork_depth_;
};

template <class Engine>
void BindSearchPages(nb::class_<Handle<Engine>>& type) {
  using nb::arg;
  type.def(
      "search_pages",
      [](const Handle<Engine>& self, nb::handle query, int64_t k, int64_t list_size, int64_t rerank,
         int64_t max_per_label, nb::object filter_object) {
        const std::shared_ptr<Engine> engine = self.Use();
        const VectorArray array = VectorsOf(query, engine->options());
        auto filter = std::make_unique<SearchFilter>(filter_object);
        const SearchOptions options =
            OptionsOf(k, {list_size, rerank, 0, max_per_label, filter_object}, *filter);
        Result<Pages> pages =
            WithoutGil([&] { return engine->SearchPages(array.vector(), options); });
        return new PagedSearch(engine, std::move(filter_object), std::move(filter),
                               ValueOf(std::move(pages)));
      },
      arg("query"), arg("k"), arg("list_size"), arg("rerank"), arg("max_per_label"),
      arg("filter").none());
}

void BindPages(nb::module_& module);

}  // namespace shoal::python
