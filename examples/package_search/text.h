// From text to words and character n-grams.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace package_search {

// The words of a text in order, repeats included: runs of letters, digits and bytes beyond ASCII,
// in lower case, plural endings dropped ("libraries" -> "library", "bindings" -> "binding").
// A '+' or '#' stays at the end of a word: "c++", "c#".
std::vector<std::string> Words(std::string_view text);

// The words of a package's name, with what Debian wraps around them taken off as further words:
// "libhnswlib-dev" -> libhnswlib, hnswlib, dev; "libacl1" -> libacl1, libacl, acl.
std::vector<std::string> NameWords(std::string_view name);

// The character 3- and 4-grams of "<word>", the brackets being its ends: "<gi", "git", "it>",
// "<git", "git>". Views into `bracketed`, which the call overwrites.
std::vector<std::string_view> NGrams(std::string_view word, std::string& bracketed);

// FNV-1a with a finaliser: the same on every machine, unlike std::hash.
uint64_t HashText(std::string_view text, uint64_t seed);

// Spreads the bits of an integer (the finaliser of MurmurHash3).
uint64_t MixBits(uint64_t x);

}  // namespace package_search
