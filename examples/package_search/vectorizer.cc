#include "package_search/vectorizer.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <thread>

#include "package_search/text.h"

namespace package_search {
namespace {

constexpr uint32_t kBuckets = 1u << 18;
// Non-zeroes of a bucket's random vector. Fewer are faster and noisier; beyond 16 nothing changes.
constexpr int kNonZeroes = 16;

// One seed a kind of feature, so that the word "libs" and the section "libs" are two features.
enum class Kind : uint64_t { kWord = 1, kGram, kSection, kTag, kDependency };

uint32_t Bucket(std::string_view text, Kind kind) {
  return static_cast<uint32_t>(HashText(text, static_cast<uint64_t>(kind)) % kBuckets);
}

void AddWord(std::string_view word, float weight, float gram_weight, std::vector<Feature>& out) {
  out.push_back({Bucket(word, Kind::kWord), weight});
  std::string bracketed;
  const auto grams = NGrams(word, bracketed);
  // So that a word's n-grams together have the length `gram_weight`, however long it is.
  const float each = weight * gram_weight / std::sqrt(static_cast<float>(grams.size()));
  for (const std::string_view gram : grams) out.push_back({Bucket(gram, Kind::kGram), each});
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
    : weights_(weights), idf_(kBuckets) {
  std::vector<uint32_t> count(kBuckets);
  for (const Package& package : packages) {
    for (const Feature& feature : Features(package)) ++count[feature.bucket];
  }
  const float all = static_cast<float>(packages.size()) + 1;
  for (uint32_t i = 0; i < kBuckets; ++i) {
    idf_[i] = std::log(all / (static_cast<float>(count[i]) + 0.5f));
  }
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

void Vectorizer::Project(std::vector<Feature> features, std::span<float> out) const {
  std::fill(out.begin(), out.end(), 0.0f);
  for (const Feature& feature : features) {
    const float weight = feature.weight * idf_[feature.bucket];
    uint64_t bits = 0;
    for (int i = 0; i < kNonZeroes; ++i) {
      // 9 bits each: a place and a sign; 7 of them in a word.
      bits = i % 7 == 0 ? MixBits(feature.bucket * 8ull + i / 7 + 1) : bits >> 9;
      out[bits & 0xff] += bits & 0x100 ? weight : -weight;
    }
  }
  double square = 0;
  for (const float x : out) square += double{x} * x;
  if (square == 0) return;
  const auto scale = static_cast<float>(1 / std::sqrt(square));
  for (float& x : out) x *= scale;
}

void Vectorizer::Embed(const Package& package, std::span<float> out) const {
  Project(Features(package), out);
}

void Vectorizer::EmbedText(std::string_view text, std::span<float> out) const {
  std::vector<Feature> features;
  for (const std::string& word : Words(text)) AddWord(word, 1.0f, weights_.n_gram, features);
  Merge(features);
  Project(std::move(features), out);
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
