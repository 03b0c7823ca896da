// Sets of generated vectors, for the tests of vector sets.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bindings/valkey/core/vector_set.h"

namespace shoal::vset {

inline constexpr Quantization kQuantizations[] = {Quantization::kFloat32, Quantization::kInt8,
                                                  Quantization::kBinary};

// The seed-th vector of a mixture of 16 clusters.
inline std::vector<float> ClusteredVector(uint32_t dim, uint32_t seed) {
  std::mt19937 cluster(seed % 16);
  std::mt19937 own(seed + 1000);
  std::normal_distribution<float> normal;
  std::vector<float> x(dim);
  for (float& element : x) element = normal(cluster);
  normal.reset();
  for (float& element : x) element += 0.7f * normal(own);
  return x;
}

inline std::unique_ptr<VectorSet> NewSet(const EncodingOptions& encoding,
                                         WorkGate* gate = nullptr) {
  auto set = VectorSet::Create({.encoding = encoding, .gate = gate});
  EXPECT_TRUE(set) << set.error().message;
  return std::move(*set);
}

inline EncodedVector Encoded(const VectorSet& set, const std::vector<float>& x) {
  auto encoded = set.encoding().Encode(x);
  EXPECT_TRUE(encoded) << encoded.error().message;
  return *std::move(encoded);
}

inline AddOutcome AddTo(VectorSet& set, const std::string& name, const std::vector<float>& x,
                        std::optional<std::string_view> attribute = std::nullopt) {
  const auto outcome = set.Add(name, Encoded(set, x), attribute);
  EXPECT_TRUE(outcome) << outcome.error().message;
  return *outcome;
}

// Elements "0" to "n-1", of ClusteredVector, linked.
inline std::unique_ptr<VectorSet> ClusteredSet(const EncodingOptions& encoding, uint32_t n) {
  auto set = NewSet(encoding);
  for (uint32_t i = 0; i < n; ++i)
    AddTo(*set, std::to_string(i), ClusteredVector(set->encoding().input_dim(), i),
          R"({"i":)" + std::to_string(i) + "}");
  EXPECT_TRUE(set->Link(n));
  return set;
}

inline std::vector<Found> SearchIn(const VectorSet& set, const std::vector<float>& query,
                                   const SearchRequest& request = {}) {
  auto found = set.Search(Encoded(set, query), request);
  EXPECT_TRUE(found) << found.error().message;
  return *std::move(found);
}

inline std::vector<std::string> NamesOf(const std::vector<Found>& found) {
  std::vector<std::string> names;
  for (const Found& hit : found) names.push_back(hit.name);
  return names;
}

// The elements' digest bytes, in byte order of names.
inline std::vector<std::string> DigestsOf(const VectorSet& set) {
  std::vector<std::string> digests;
  set.ForEach(
      [&](const ElementView& element) { AppendDigestBytes(element, digests.emplace_back()); });
  return digests;
}

}  // namespace shoal::vset
