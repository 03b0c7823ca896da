// The messages by which a gathered search gets the vector of an element.
#include <array>
#include <cmath>

#include "gather_wire.h"

namespace shoal::vset {

namespace wire {
namespace {

struct VectorHeader {
  uint32_t dim = 0;
  uint32_t input_dim = 0;
  uint32_t quantization = 0;
  uint32_t similarity = 0;
  float norm = 0;
  float range = 0;
};
static_assert(sizeof(VectorHeader) == 24);

}  // namespace

void AppendVector(const GatherVector& vector, std::string& out) {
  const EncodingOptions& encoding = vector.encoding;
  Append(VectorHeader{.dim = encoding.dim,
                      .input_dim = encoding.input_dim,
                      .quantization = static_cast<uint32_t>(encoding.quantization),
                      .similarity = static_cast<uint32_t>(encoding.similarity),
                      .norm = vector.vector.norm,
                      .range = vector.vector.range},
         out);
  out.append(reinterpret_cast<const char*>(vector.vector.bytes.data()), vector.vector.bytes.size());
}

Result<GatherVector> TakeVector(Reader& reader) {
  VectorHeader header;
  if (!reader.Take(header)) return Corrupt("vector: cut off");
  if (!InRange(header.dim, 1, kMaxVectorDim) ||
      (header.input_dim != 0 && !InRange(header.input_dim, header.dim, kMaxVectorDim)))
    return Corrupt("vector: dim: out of range");
  if (header.quantization > static_cast<uint32_t>(Quantization::kBinary))
    return Corrupt("vector: quantization: unknown");
  if (header.similarity > static_cast<uint32_t>(Similarity::kInnerProduct))
    return Corrupt("vector: similarity: unknown");
  if (!std::isfinite(header.norm) || !std::isfinite(header.range))
    return Corrupt("vector: finite numbers expected");
  GatherVector vector{.encoding = {.dim = header.dim,
                                   .input_dim = header.input_dim,
                                   .quantization = static_cast<Quantization>(header.quantization),
                                   .similarity = static_cast<Similarity>(header.similarity)},
                      .vector = {.bytes = {}, .norm = header.norm, .range = header.range}};
  if (!reader.Take(EncodedBytes(vector.encoding), vector.vector.bytes))
    return Corrupt("vector: cut off");
  return vector;
}

}  // namespace wire

namespace {

using wire::Append;
using wire::Corrupt;
using wire::InRange;
using wire::Reader;
using wire::SizeOf;

struct ElementHeader {
  std::array<char, 4> magic = {'S', 'V', 'E', '1'};
  uint32_t partitions = 0;
  uint64_t id = 0;
  uint32_t name_bytes = 0;
  uint32_t element_bytes = 0;
};
static_assert(sizeof(ElementHeader) == 24);

struct FoundHeader {
  std::array<char, 4> magic = {'S', 'V', 'V', '1'};
  uint32_t found = 0;
  uint64_t id = 0;
};
static_assert(sizeof(FoundHeader) == 16);

// CRC-32 of the reflected polynomial 0xedb88320: zlib's.
uint32_t Crc32(std::string_view text) {
  uint32_t crc = ~uint32_t{0};
  for (const char c : text) {
    crc ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320 : 0);
  }
  return ~crc;
}

}  // namespace

uint32_t PartitionOf(std::string_view element, uint32_t partitions) {
  return Crc32(element) % partitions;
}

std::string Encode(const ElementRequest& request) {
  std::string out;
  Append(ElementHeader{.partitions = request.partitions,
                       .id = request.id,
                       .name_bytes = SizeOf(request.name),
                       .element_bytes = SizeOf(request.element)},
         out);
  return out.append(request.name).append(request.element);
}

Result<ElementRequest> ParseElementRequest(std::span<const std::byte> message) {
  Reader reader(message);
  ElementHeader header;
  if (Status taken = wire::TakeHeader(reader, "a request for an element expected", header); !taken)
    return tl::unexpected(taken.error());
  if (!InRange(header.partitions, 1, kMaxPartitions)) return Corrupt("partitions: out of range");
  ElementRequest request{.id = header.id, .partitions = header.partitions};
  if (!reader.Take(header.name_bytes, request.name) ||
      !reader.Take(header.element_bytes, request.element))
    return Corrupt("cut off");
  if (!reader.is_empty()) return Corrupt("nothing behind the end expected");
  if (!IsPartitionedName(request.name)) return Corrupt("name: braces, or empty");
  return request;
}

std::string Encode(const ElementAnswer& answer) {
  std::string out;
  Append(FoundHeader{.found = answer.vector ? 1u : 0u, .id = answer.id}, out);
  if (answer.vector) wire::AppendVector(*answer.vector, out);
  return out;
}

Result<ElementAnswer> ParseElementAnswer(std::span<const std::byte> message) {
  Reader reader(message);
  FoundHeader header;
  if (Status taken = wire::TakeHeader(reader, "an element's vector expected", header); !taken)
    return tl::unexpected(taken.error());
  if (header.found > 1) return Corrupt("found: 0 or 1 expected");
  ElementAnswer answer{.id = header.id};
  if (header.found == 1) {
    Result<GatherVector> vector = wire::TakeVector(reader);
    if (!vector) return tl::unexpected(vector.error());
    answer.vector = *std::move(vector);
  }
  if (!reader.is_empty()) return Corrupt("nothing behind the end expected");
  return answer;
}

}  // namespace shoal::vset
