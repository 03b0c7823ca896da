// What the messages of a gathered search are made of: internal to gather*.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gather.h"

namespace shoal::vset::wire {

inline tl::unexpected<Error> Corrupt(const char* what) {
  return MakeError(ErrorCode::kCorrupt, std::string("message: ") + what);
}

inline bool InRange(uint64_t value, uint64_t least, uint64_t most) {
  return value >= least && value <= most;
}

inline uint32_t SizeOf(std::string_view text) { return static_cast<uint32_t>(text.size()); }

template <class T>
void Append(const T& value, std::string& out) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

// A message, from front to back.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}
  bool is_empty() const { return bytes_.empty(); }
  size_t size() const { return bytes_.size(); }
  template <class T>
  bool Take(T& value) {
    if (bytes_.size() < sizeof(T)) return false;
    std::memcpy(&value, bytes_.data(), sizeof(T));
    bytes_ = bytes_.subspan(sizeof(T));
    return true;
  }
  bool Take(size_t size, std::string& text) {
    if (bytes_.size() < size) return false;
    text.assign(reinterpret_cast<const char*>(bytes_.data()), size);
    bytes_ = bytes_.subspan(size);
    return true;
  }
  template <class T>
  bool Take(size_t size, std::vector<T>& values) {
    if (bytes_.size() / sizeof(T) < size) return false;
    values.resize(size);
    if (size != 0) std::memcpy(values.data(), bytes_.data(), size * sizeof(T));
    bytes_ = bytes_.subspan(size * sizeof(T));
    return true;
  }

 private:
  std::span<const std::byte> bytes_;
};

// Takes the header, of which `magic` is the first field: the beginning of every message.
template <class Header>
Status TakeHeader(Reader& reader, const char* expected, Header& header) {
  if (reader.size() > kMaxGatherBytes) return Corrupt("too long");
  if (!reader.Take(header)) return Corrupt("cut off in its header");
  if (header.magic != Header().magic) return Corrupt(expected);
  return {};
}

// A vector as its set keeps it: dim, input_dim, quantization, similarity, norm, range, and as many
// bytes as these say.
void AppendVector(const GatherVector& vector, std::string& out);
Result<GatherVector> TakeVector(Reader& reader);

}  // namespace shoal::vset::wire
