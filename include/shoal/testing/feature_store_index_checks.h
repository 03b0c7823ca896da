// The checks of feature_store_conformance.h that build an index over the store.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "shoal/index.h"
#include "shoal/testing/failing_feature_store.h"
#include "shoal/testing/feature_store_checks.h"

namespace shoal::testing::conformance {

// Points of bytes, of which an index has the graph alone: every distance needs rows of the store.
class IndexBench {
 public:
  static constexpr ExternalId kPoints = 150;

  explicit IndexBench(size_t row_bytes) : dim_(row_bytes) {}

  IndexOptions Options(Code code) const {
    return {.dim = static_cast<uint32_t>(dim_),
            .scalar_type = ScalarType::kUint8,
            .code = code,
            .max_degree = 16,
            .build_list_size = 32};
  }
  std::vector<uint8_t> VectorOf(ExternalId id, uint32_t version = 0) const {
    std::vector<uint8_t> vector(dim_);
    uint64_t state = (id + 1) * 0x9e3779b97f4a7c15u + version;
    for (uint8_t& element : vector) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      element = static_cast<uint8_t>(state >> 56);
    }
    return vector;
  }
  Status InsertAll(Index& index) const {
    for (ExternalId id = 0; id < kPoints; ++id)
      if (Status ok = index.Insert(id, VectorOf(id)); !ok) return ok;
    return {};
  }
  // Some points go, some get another vector.
  Status Change(Index& index) const {
    for (ExternalId id = 0; id < kPoints; id += 7)
      if (Status ok = index.Delete(id); !ok) return ok;
    for (ExternalId id = 1; id < kPoints; id += 7)
      if (Status ok = index.Upsert(id, VectorOf(id, 1)); !ok) return ok;
    return {};
  }
  Result<std::vector<Hit>> Search(const Index& index, ExternalId query) const {
    return index.Search(VectorOf(kPoints + query), {.k = 10, .search_list_size = 20});
  }
  // Broken: one of some searches finds other ids or distances in `index` than in `expected`.
  Status Compare(const Index& index, const Index& expected) const {
    for (ExternalId query = 0; query < 20; ++query) {
      const Result<std::vector<Hit>> found = Search(index, query), right = Search(expected, query);
      if (!found) return tl::unexpected(found.error());
      if (!right) return tl::unexpected(right.error());
      if (!AreSame(*found, *right))
        return Broken("search " + std::to_string(query) + ": other hits than in memory");
    }
    return {};
  }
  static bool AreSame(const std::vector<Hit>& a, const std::vector<Hit>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Hit& x, const Hit& y) {
      return x.id == y.id && x.distance == y.distance;
    });
  }

 private:
  size_t dim_;
};

// Ids and distances are the same to the last bit, before and after deletes and upserts.
inline Status AnIndexOverItAnswersAsOneInMemory(const FeatureStoreUnderTest& test) {
  const IndexBench bench(test.row_bytes);
  Result<Index> expected = Index::Create(bench.Options(Code::kFull));
  if (!expected) return tl::unexpected(expected.error());
  Result<std::unique_ptr<FeatureStore>> store = test.make();
  if (!store) return tl::unexpected(store.error());
  Result<Index> index = Index::CreateWithFeatures(bench.Options(Code::kNone), *std::move(store));
  if (!index) return tl::unexpected(index.error());
  for (Index* each : {&*expected, &*index})
    if (Status ok = bench.InsertAll(*each); !ok) return ok;
  if (Status same = bench.Compare(*index, *expected); !same) return same;
  for (Index* each : {&*expected, &*index})
    if (Status ok = bench.Change(*each); !ok) return ok;
  return bench.Compare(*index, *expected);
}

// A search whose fetch fails, and an insert whose Put does, return the error; the index goes on.
inline Status AnErrorOfTheStoreEndsItsCallAlone(const FeatureStoreUnderTest& test) {
  const IndexBench bench(test.row_bytes);
  Result<std::unique_ptr<FeatureStore>> store = test.make();
  if (!store) return tl::unexpected(store.error());
  const auto failures = std::make_shared<FeatureFailures>();
  Result<Index> index =
      Index::CreateWithFeatures(bench.Options(Code::kNone),
                                std::make_unique<FailingFeatureStore>(*std::move(store), failures));
  if (!index) return tl::unexpected(index.error());
  if (Status ok = bench.InsertAll(*index); !ok) return ok;
  const Result<std::vector<Hit>> before = bench.Search(*index, 0);
  if (!before) return tl::unexpected(before.error());

  failures->succeed_first[FeatureFailures::kFetch] = 0;
  if (const auto failed = bench.Search(*index, 0); failed || failed.error().code != ErrorCode::kIo)
    return Broken("a search whose fetch failed: no Io error");
  constexpr ExternalId kNew = IndexBench::kPoints;
  failures->succeed_first[FeatureFailures::kPut] = 0;
  if (const Status failed = index->Insert(kNew, bench.VectorOf(kNew));
      failed || failed.error().code != ErrorCode::kIo || index->Contains(kNew))
    return Broken("an insert whose Put failed: no Io error, or the point is there");

  const Result<std::vector<Hit>> after = bench.Search(*index, 0);
  if (!after) return tl::unexpected(after.error());
  if (!IndexBench::AreSame(*before, *after)) return Broken("other hits after an error");
  return index->Insert(kNew, bench.VectorOf(kNew));
}

}  // namespace shoal::testing::conformance
