#include "bindings/valkey/module/import.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/valkey/module/at_rest.h"

namespace shoal::vset_module {

namespace {

constexpr uint64_t kProjected = 1;
constexpr uint64_t kHasAttributes = 2;
constexpr uint64_t kQuantizationMask = 255;

tl::unexpected<Error> Corrupt(std::string message) {
  return MakeError(ErrorCode::kCorrupt, std::move(message));
}

std::optional<uint64_t> TakeNumber(redis::Io* io) {
  const uint64_t number = redis::LoadUnsigned(io);
  if (redis::IsIOError(io) != 0) return std::nullopt;
  return number;
}

std::optional<std::string> TakeText(redis::Io* io) {
  size_t size = 0;
  char* const bytes = redis::LoadStringBuffer(io, &size);
  if (bytes == nullptr) return std::nullopt;
  std::optional<std::string> text;
  if (redis::IsIOError(io) == 0) text.emplace(bytes, size);
  redis::Free(bytes);
  return text;
}

struct Imported {
  std::string name;
  std::string attribute;
  std::string vector;
  float norm = 0;
  float range = 0;
};

// False: cut off, or of another kind of value.
bool TakeElement(redis::Io* io, bool has_attribute, Imported& element) {
  const auto take = [&](std::string& text) {
    std::optional<std::string> taken = TakeText(io);
    const bool is_there = taken.has_value();
    text = std::move(taken).value_or("");
    return is_there;
  };
  if (!take(element.name)) return false;
  element.attribute.clear();
  if (has_attribute && !take(element.attribute)) return false;
  if (!take(element.vector)) return false;
  const std::optional<uint64_t> numbers = TakeNumber(io);
  if (!numbers || *numbers == 0) return false;
  uint64_t last = 0;
  for (uint64_t i = 0; i < *numbers; ++i) {
    const std::optional<uint64_t> number = TakeNumber(io);
    if (!number) return false;
    last = *number;
  }
  std::memcpy(&element.norm, &last, sizeof(float));
  std::memcpy(&element.range, reinterpret_cast<const char*>(&last) + sizeof(float), sizeof(float));
  return true;
}

// As this module keeps the vector. Corrupt.
Result<vset::EncodedVector> Convert(const Imported& element, const vset::Encoding& encoding) {
  const bool is_binary = encoding.options().quantization == vset::Quantization::kBinary;
  constexpr size_t kWord = sizeof(uint64_t);
  const size_t expected =
      is_binary ? (encoding.bytes() + kWord - 1) / kWord * kWord : encoding.bytes();
  if (element.vector.size() != expected) {
    return Corrupt(std::to_string(expected) + " bytes of a vector expected, found " +
                   std::to_string(element.vector.size()));
  }
  const auto is_zero = [](char c) { return c == 0; };
  const std::string_view whole(element.vector);
  const std::string_view own = whole.substr(0, encoding.bytes());
  if (!std::ranges::all_of(whole.substr(own.size()), is_zero))
    return Corrupt("no bits behind the last element expected");
  const auto bytes = std::as_bytes(std::span(own));
  vset::EncodedVector vector{.bytes = {bytes.begin(), bytes.end()}, .norm = element.norm};
  if (encoding.options().quantization == vset::Quantization::kInt8) vector.range = element.range;
  // There the zero vector has norm 1.
  if (!is_binary && std::ranges::all_of(own, is_zero)) vector.norm = vector.range = 0;
  if (Status checked = encoding.Check(vector); !checked) return tl::unexpected(checked.error());
  return vector;
}

Result<std::unique_ptr<vset::VectorSet>> TakeOptions(redis::Io* io, uint64_t& elements,
                                                     uint64_t& flags) {
  const std::optional<uint64_t> dim = TakeNumber(io);
  const std::optional<uint64_t> count = TakeNumber(io);
  const std::optional<uint64_t> parameters = TakeNumber(io);
  const std::optional<uint64_t> flagged = TakeNumber(io);
  if (!dim || !count || !parameters || !flagged) return Corrupt("cut off");
  if ((*flagged & kProjected) != 0)
    return MakeError(ErrorCode::kUnsupported, "a set with a projection (REDUCE) of Redis 8");
  if ((*flagged & ~kHasAttributes) != 0)
    return MakeError(ErrorCode::kUnsupported, "unknown flags " + std::to_string(*flagged));
  if (*count == 0 || *count > vset::kMaxElements) return Corrupt("elements: out of range");
  if (*dim > vset::kMaxVectorDim) return Corrupt("dim: out of range");
  if (*parameters >> 8 > vset::kMaxLinks) return Corrupt("M: out of range");
  elements = *count;
  flags = *flagged;
  const auto quantization = static_cast<uint8_t>(*parameters & kQuantizationMask);
  return vset::VectorSet::Create(
      {.encoding = {.dim = static_cast<uint32_t>(*dim),
                    .quantization = static_cast<vset::Quantization>(quantization)},
       .links = static_cast<uint32_t>(*parameters >> 8),
       .gate = &Gate()});
}

}  // namespace

Result<std::unique_ptr<vset::VectorSet>> LoadOfRedis8(redis::Io* io) {
  uint64_t elements = 0;
  uint64_t flags = 0;
  Result<std::unique_ptr<vset::VectorSet>> set = TakeOptions(io, elements, flags);
  if (!set) return set;
  Imported element;
  for (uint64_t i = 0; i < elements; ++i) {
    const std::string where = "element " + std::to_string(i) + ": ";
    if (!TakeElement(io, (flags & kHasAttributes) != 0, element)) return Corrupt(where + "cut off");
    const Result<vset::EncodedVector> vector = Convert(element, (*set)->encoding());
    if (!vector) return Corrupt(where + vector.error().message);
    if ((*set)->Contains(element.name)) return Corrupt(where + "a name that is there already");
    if (auto added = (*set)->Add(element.name, *vector, element.attribute); !added)
      return Corrupt(where + added.error().message);
  }
  return set;
}

}  // namespace shoal::vset_module
