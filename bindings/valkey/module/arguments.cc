#include "bindings/valkey/module/arguments.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace shoal::vset_module {

namespace {

constexpr size_t kMaxElements = vset::kMaxVectorDim;

char Capital(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

// What from_chars leaves out: a plus in front.
std::string_view WithoutPlus(std::string_view text) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  return text;
}

std::optional<std::vector<float>> Floats(std::string_view blob) {
  const size_t count = blob.size() / sizeof(float);
  if (count == 0 || count > kMaxElements || blob.size() % sizeof(float) != 0) return std::nullopt;
  std::vector<float> vector(count);
  std::memcpy(vector.data(), blob.data(), blob.size());
  return vector;
}

template <class T>
std::optional<std::vector<float>> Bytes(std::string_view blob) {
  if (blob.empty() || blob.size() > kMaxElements) return std::nullopt;
  std::vector<float> vector(blob.size());
  std::ranges::transform(blob, vector.begin(),
                         [](char c) { return static_cast<float>(static_cast<T>(c)); });
  return vector;
}

std::optional<std::vector<float>> Values(Arguments& arguments) {
  const std::optional<long long> count = arguments.TakeInteger();
  if (!count || *count < 1 || static_cast<unsigned long long>(*count) > kMaxElements ||
      static_cast<size_t>(*count) > arguments.left())
    return std::nullopt;
  std::vector<float> vector(static_cast<size_t>(*count));
  for (float& element : vector) {
    const std::optional<double> value = arguments.TakeDouble();
    if (!value) return std::nullopt;
    element = static_cast<float>(*value);
  }
  return vector;
}

}  // namespace

std::string_view View(const redis::String* string) {
  size_t length = 0;
  const char* bytes = redis::StringPtrLen(string, &length);
  return {bytes, length};
}

std::optional<long long> ToInteger(std::string_view text) {
  long long value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> ToDouble(std::string_view text) {
  text = WithoutPlus(text);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || std::isnan(value))
    return std::nullopt;
  return value;
}

bool IsWord(std::string_view text, std::string_view word) {
  return std::ranges::equal(text, word, {}, Capital);
}

bool Arguments::TakeWord(std::string_view word) {
  if (done() || !IsWord(Peek(), word)) return false;
  ++next_;
  return true;
}

std::optional<long long> Arguments::TakeInteger() {
  return done() ? std::nullopt : ToInteger(Take());
}

std::optional<double> Arguments::TakeDouble() { return done() ? std::nullopt : ToDouble(Take()); }

std::optional<std::vector<float>> TakeVector(Arguments& arguments) {
  std::optional<std::vector<float>> vector;
  if (arguments.left() < 2) return std::nullopt;
  if (arguments.TakeWord("FP32")) {
    vector = Floats(arguments.Take());
  } else if (arguments.TakeWord("XI8")) {
    vector = Bytes<int8_t>(arguments.Take());
  } else if (arguments.TakeWord("XU8")) {
    vector = Bytes<uint8_t>(arguments.Take());
  } else if (arguments.TakeWord("VALUES")) {
    vector = Values(arguments);
  }
  const auto finite = [](float element) { return std::isfinite(element); };
  if (vector && !std::ranges::all_of(*vector, finite)) return std::nullopt;
  return vector;
}

std::optional<vset::Similarity> TakeSimilarity(Arguments& arguments) {
  if (arguments.TakeWord("COSINE")) return vset::Similarity::kCosine;
  if (arguments.TakeWord("L2")) return vset::Similarity::kL2;
  if (arguments.TakeWord("IP")) return vset::Similarity::kInnerProduct;
  return std::nullopt;
}

}  // namespace shoal::vset_module
