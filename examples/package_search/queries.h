// What is asked: the queries that keep the searching threads busy, and those that people read.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "package_search/packages.h"
#include "package_search/vectorizer.h"

namespace package_search {

// `count` x kVectorDim, row-major: in turn "packages like X" for a package X, and two to four words
// out of a package's synopsis as free text. X may not be inserted yet when its turn comes. The same
// for the same packages; needs at least one.
std::vector<float> SampleQueries(std::span<const Package> packages, const Vectorizer& vectorizer,
                                 size_t count);

// A query in a person's words, understood.
struct Query {
  std::string title;              // `packages like git`, or the text in quotes.
  std::optional<size_t> package;  // The package that it starts from; it is no answer itself.
  std::vector<float> vector;      // kVectorDim
};

// "packages like NAME", or just the NAME of a package, starts from that package's vector; anything
// else is free text. An error says that no package has the name, or that there is no word in it.
shoal::Result<Query> MakeQuery(std::string_view text, std::span<const Package> packages,
                               const Vectorizer& vectorizer);

}  // namespace package_search
