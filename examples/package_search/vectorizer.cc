#include "package_search/vectorizer.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <thread>
#include <utility>

#include "package_search/text.h"

namespace package_search {
namespace {

constexpr uint32_t kBuckets = 1u << 18;
// Non-zeroes of a bucket's random vector. Fewer are faster and noisier; beyond 16 nothing changes.
constexpr int kNonZeroes = 16;

// The share of packages from which on a word has no context: "library" is at home everywhere.
constexpr double kMaxCommonWithContext = 0.02;

// One seed a kind of feature, so that the word "libs" and the section "libs" are two features.
enum class Kind : uint64_t { kWord = 1, kGram, kSection, kTag, kDependency };

uint32_t Bucket(std::string_view text, Kind kind) {
  return static_cast<uint32_t>(HashText(text, static_cast<uint64_t>(kind)) % kBuckets);
}

void AddWord(std::string_view word, float weight, float gram_weight, std::vector<Feature>& out) {
  out.push_back({.bucket = Bucket(word, Kind::kWord), .weight = weight, .word = true});
  std::string bracketed;
  const auto grams = NGrams(word, bracketed);
  // So that a word's n-grams together have the length `gram_weight`, however long it is.
  const float each = weight * gram_weight / std::sqrt(static_cast<float>(grams.size()));
  for (const std::string_view gram : grams) out.push_back({Bucket(gram, Kind::kGram), each});
}

// Gives `vector` a length; all zeroes stay so.
void Normalise(std::span<float> vector, float length) {
  double square = 0;
  for (const float x : vector) square += double{x} * x;
  if (square == 0) return;
  const auto scale = static_cast<float>(length / std::sqrt(square));
  for (float& x : vector) x *= scale;
}

// Joins equal buckets: the larger weight counts, and a repeat adds a little.
void Merge(std::vector<Feature>& features) {
  std::sort(features.begin(), features.end(), [](const Feature& a, const Feature& b) {
    return a.bucket != b.bucket ? a.bucket < b.bucket : a.weight > b.weight;
  });
  size_t kept = 0;
  for (const Feature& feature : features) {
    if (kept > 0 && features[kept - 1].bucket == feature.bucket) {
      features[kept - 1].weight += 0.25f * feature.weight;
    } else {
      features[kept++] = feature;
    }
  }
  features.resize(kept);
}

}  // namespace

Vectorizer::Vectorizer(std::span<const Package> packages, const FieldWeights& weights)
    : weights_(weights), idf_(kBuckets), context_row_(kBuckets, kNoContext) {
  std::vector<uint32_t> count(kBuckets);
  std::vector<std::vector<Feature>> bags;
  bags.reserve(packages.size());
  for (const Package& package : packages) {
    for (const Feature& feature : bags.emplace_back(Features(package))) ++count[feature.bucket];
  }
  const float all = static_cast<float>(packages.size()) + 1;
  for (uint32_t i = 0; i < kBuckets; ++i) {
    idf_[i] = std::log(all / (static_cast<float>(count[i]) + 0.5f));
  }
  if (weights_.context == 0) return;
  const double most = kMaxCommonWithContext * static_cast<double>(packages.size());
  uint32_t rows = 0;
  for (const auto& bag : bags) {
    for (const Feature& feature : bag) {
      const uint32_t n = count[feature.bucket];
      uint32_t& row = context_row_[feature.bucket];
      if (feature.word && n >= 2 && n <= most && row == kNoContext) row = rows++;
    }
  }
  contexts_.resize(rows * kVectorDim);
  LearnContexts(bags);
}

void Vectorizer::LearnContexts(std::span<const std::vector<Feature>> bags) {
  std::vector<float> sums(contexts_.size());
  std::vector<double> mean(kVectorDim);
  std::vector<float> vector(kVectorDim);
  std::vector<float> weight_sums(contexts_.size() / kVectorDim);
  for (const auto& bag : bags) {
    Project(bag, vector);  // contexts_ is all zeroes yet.
    for (size_t i = 0; i < kVectorDim; ++i) mean[i] += vector[i];
    for (const Feature& feature : bag) {
      const uint32_t row = context_row_[feature.bucket];
      if (row == kNoContext) continue;
      weight_sums[row] += feature.weight;
      float* sum = &sums[row * kVectorDim];
      for (size_t i = 0; i < kVectorDim; ++i) sum[i] += feature.weight * vector[i];
    }
  }
  // What all packages have in common says nothing about a word: it is taken off.
  for (double& x : mean) x /= static_cast<double>(std::max<size_t>(1, bags.size()));
  for (size_t row = 0; row < weight_sums.size(); ++row) {
    const auto sum = std::span(sums).subspan(row * kVectorDim, kVectorDim);
    for (size_t i = 0; i < kVectorDim; ++i) {
      sum[i] -= weight_sums[row] * static_cast<float>(mean[i]);
    }
    Normalise(sum, std::sqrt(static_cast<float>(kNonZeroes)) * weights_.context);
  }
  contexts_ = std::move(sums);
}

std::vector<Feature> Vectorizer::Features(const Package& package) const {
  std::vector<Feature> features;
  features.reserve(256);
  for (const std::string& word : NameWords(package.name)) {
    AddWord(word, weights_.name_word, weights_.n_gram, features);
  }
  for (const std::string& word : Words(package.synopsis)) {
    AddWord(word, weights_.synopsis_word, weights_.n_gram, features);
  }
  features.push_back({Bucket(package.section, Kind::kSection), weights_.section});
  for (const std::string& tag : package.tags) {
    features.push_back({Bucket(tag, Kind::kTag), weights_.tag});
  }
  for (const std::string& name : package.depends) {
    features.push_back({Bucket(name, Kind::kDependency), weights_.dependency});
  }
  Merge(features);
  return features;
}

void Vectorizer::Project(std::span<const Feature> features, std::span<float> out) const {
  std::fill(out.begin(), out.end(), 0.0f);
  for (const Feature& feature : features) {
    const float weight = feature.weight * idf_[feature.bucket];
    uint64_t bits = 0;
    for (int i = 0; i < kNonZeroes; ++i) {
      // 9 bits each: a place and a sign; 7 of them in a word.
      bits = i % 7 == 0 ? MixBits(feature.bucket * 8ull + i / 7 + 1) : bits >> 9;
      out[bits & 0xff] += bits & 0x100 ? weight : -weight;
    }
    if (const uint32_t row = context_row_[feature.bucket]; row != kNoContext) {
      const float* context = &contexts_[row * kVectorDim];
      for (size_t i = 0; i < kVectorDim; ++i) out[i] += weight * context[i];
    }
  }
  Normalise(out, 1);
}

void Vectorizer::Embed(const Package& package, std::span<float> out) const {
  Project(Features(package), out);
}

void Vectorizer::EmbedText(std::string_view text, std::span<float> out) const {
  std::vector<Feature> features;
  for (const std::string& word : Words(text)) AddWord(word, 1.0f, weights_.n_gram, features);
  Merge(features);
  Project(features, out);
}

float Vectorizer::WordIdf(std::string_view word) const { return idf_[Bucket(word, Kind::kWord)]; }

std::vector<float> EmbedAll(const Vectorizer& vectorizer, std::span<const Package> packages,
                            size_t threads) {
  std::vector<float> rows(packages.size() * kVectorDim);
  threads = std::max<size_t>(1, threads);
  std::vector<std::thread> workers;
  for (size_t t = 0; t < threads; ++t) {
    workers.emplace_back([&, t] {
      for (size_t i = t; i < packages.size(); i += threads) {
        vectorizer.Embed(packages[i], std::span(rows).subspan(i * kVectorDim, kVectorDim));
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  return rows;
}

}  // namespace package_search
