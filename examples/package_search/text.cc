#include "package_search/text.h"

#include <algorithm>

namespace package_search {
namespace {

constexpr size_t kShortestGram = 3;
constexpr size_t kLongestGram = 4;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsWordByte(char c) {
  return (c >= 'a' && c <= 'z') || IsDigit(c) || static_cast<unsigned char>(c) >= 0x80;
}

char ToLower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Only the regular plural: more stemming joins words that mean different things, and the n-grams
// join the rest.
void DropPlural(std::string& word) {
  const size_t n = word.size();
  if (n > 4 && word.ends_with("ies")) {
    word.replace(n - 3, 3, "y");
  } else if (n > 3 && word.ends_with('s') && !word.ends_with("ss") && !word.ends_with("us") &&
             !word.ends_with("is")) {
    word.pop_back();
  }
}

void AddOnce(std::string word, std::vector<std::string>& words) {
  if (word.empty() || std::find(words.begin(), words.end(), word) != words.end()) return;
  words.push_back(std::move(word));
}

std::string WithoutTrailingDigits(std::string word) {
  while (!word.empty() && IsDigit(word.back())) word.pop_back();
  return word;
}

}  // namespace

std::vector<std::string> Words(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  const auto finish = [&] {
    if (word.empty()) return;
    DropPlural(word);
    words.push_back(std::move(word));
    word.clear();
  };
  for (const char raw : text) {
    const char c = ToLower(raw);
    if (IsWordByte(c) || ((c == '+' || c == '#') && !word.empty())) {
      word.push_back(c);
    } else {
      finish();
    }
  }
  finish();
  return words;
}

std::vector<std::string> NameWords(std::string_view name) {
  std::vector<std::string> words;
  for (std::string& word : Words(name)) {
    const std::string bare = WithoutTrailingDigits(word);
    AddOnce(std::move(word), words);
    AddOnce(bare, words);
    if (bare.size() > 4 && bare.starts_with("lib")) AddOnce(bare.substr(3), words);
  }
  return words;
}

std::vector<std::string_view> NGrams(std::string_view word, std::string& bracketed) {
  bracketed.assign(1, '<').append(word).push_back('>');
  const std::string_view text = bracketed;
  std::vector<std::string_view> grams;
  for (size_t length = kShortestGram; length <= kLongestGram; ++length) {
    for (size_t i = 0; i + length <= text.size(); ++i) grams.push_back(text.substr(i, length));
  }
  return grams;
}

uint64_t MixBits(uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdull;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ull;
  return x ^ (x >> 33);
}

uint64_t HashText(std::string_view text, uint64_t seed) {
  uint64_t hash = 0xcbf29ce484222325ull ^ MixBits(seed);
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  }
  return MixBits(hash);
}

}  // namespace package_search
