// Packages and queries as points of one space: 256 floats of length 1.
//
// A text is a bag of features: words of the name and the synopsis, character 3- and 4-grams of
// them, section, tags, dependencies. A feature is hashed to one of 2^18 buckets (feature hashing,
// Weinberger et al. 2009) and weighted by its field and by the bucket's inverse document
// frequency. A bucket stands for a sparse random vector of +1 and -1 that is computed from its
// number (sparse random projection, Achlioptas 2003; Kane and Nelson 2014), so nothing is stored
// and every machine computes the same. The sum over the bag, normalised, is the vector: inner
// products approximate the cosine of the weighted bags.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "package_search/packages.h"

namespace package_search {

inline constexpr size_t kVectorDim = 256;

// How much a field counts. Tuned by eye on a score of queries: names below 1.3 put packages with
// similar slogans before a package's own family, n-grams above 0.8 find words that merely look
// alike.
struct FieldWeights {
  float name_word = 1.3f;
  float synopsis_word = 1.0f;
  float n_gram = 0.7f;  // All n-grams of a word together, relative to the word.
  float section = 0.3f;
  float tag = 0.35f;
  float dependency = 0.2f;
};

// A bucket and its weight before IDF.
struct Feature {
  uint32_t bucket = 0;
  float weight = 0;
};

class Vectorizer {
 public:
  // Counts in how many packages each bucket occurs.
  explicit Vectorizer(std::span<const Package> packages, const FieldWeights& weights = {});

  // The vector of a package, or of free text, into out[0, kVectorDim). Length 1, except for a text
  // without a word: all zeroes. Thread-safe.
  void Embed(const Package& package, std::span<float> out) const;
  void EmbedText(std::string_view text, std::span<float> out) const;

  // ln((N + 1) / (n + 1/2)) of the bucket of a word that n of N packages have; above 0.
  float WordIdf(std::string_view word) const;

 private:
  std::vector<Feature> Features(const Package& package) const;
  void Project(std::vector<Feature> features, std::span<float> out) const;

  FieldWeights weights_;
  std::vector<float> idf_;  // By bucket.
};

// All packages: packages.size() x kVectorDim, row-major, computed by `threads` threads.
std::vector<float> EmbedAll(const Vectorizer& vectorizer, std::span<const Package> packages,
                            size_t threads);

}  // namespace package_search
