// Small indices whose vectors are in a feature store, and what they must hold.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "shoal/feature_stores.h"
#include "shoal/index.h"

namespace shoal::testing {

inline constexpr uint32_t kStoredDim = 25;  // 100 bytes: the row_bytes of the stores under test.
using Vector = std::vector<float>;

// Follows from id and version.
inline Vector VectorOf(ExternalId id, uint32_t version = 0) {
  Vector vector(kStoredDim);
  uint64_t state = id * 0x9e3779b97f4a7c15u + version;
  for (float& x : vector) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    x = static_cast<float>(state >> 40) / static_cast<float>(1 << 24) - 0.5f;
  }
  return vector;
}

inline IndexOptions StoredOptions(Metric metric = Metric::kL2, Code code = Code::kFloat16) {
  return {
      .dim = kStoredDim, .metric = metric, .code = code, .max_degree = 16, .build_list_size = 40};
}

template <class T>
T Made(Result<T> made) {
  EXPECT_TRUE(made) << made.error().message;
  return *std::move(made);
}

inline void ExpectDone(const Status& status) { EXPECT_TRUE(status) << status.error().message; }

inline void InsertAll(Index& index, ExternalId begin, ExternalId end) {
  for (ExternalId id = begin; id < end; ++id) {
    const Status inserted = index.Insert(id, VectorOf(id));
    ASSERT_TRUE(inserted) << inserted.error().message;
  }
}

inline std::vector<Hit> Found(const Index& index, const Vector& query) {
  const auto hits = index.Search(query, {.k = 10, .search_list_size = 50});
  EXPECT_TRUE(hits) << hits.error().message;
  return hits ? *hits : std::vector<Hit>();
}

inline void ExpectSame(const std::vector<Hit>& a, const std::vector<Hit>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].id, b[i].id);
    EXPECT_EQ(a[i].distance, b[i].distance);
  }
}

// 400 points, of which a third is deleted, and a third replaced; and 50 more.
inline void Churn(Index& index) {
  InsertAll(index, 1, 401);
  for (ExternalId id = 1; id <= 400; ++id) {
    const Status done = id % 3 == 0   ? index.Delete(id)
                        : id % 3 == 1 ? index.Upsert(id, VectorOf(id, 1))
                                      : Status();
    ASSERT_TRUE(done) << done.error().message;
  }
  InsertAll(index, 401, 451);
}

// The points that Churn leaves, with their vectors.
inline void ExpectChurned(const Index& index) {
  for (ExternalId id = 1; id <= 450; ++id) {
    const bool is_deleted = id <= 400 && id % 3 == 0;
    EXPECT_EQ(index.Contains(id), !is_deleted) << "id " << id;
    if (is_deleted) continue;
    Vector vector(kStoredDim);
    const Status got = index.Get(id, vector);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(vector, VectorOf(id, id <= 400 && id % 3 == 1 ? 1 : 0)) << "id " << id;
  }
}

inline std::unique_ptr<FeatureStore> RamStore() {
  return Made(MakeRamFeatures(kStoredDim * sizeof(float)));
}

}  // namespace shoal::testing
