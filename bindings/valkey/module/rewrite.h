// A set as the commands that make it again: what an append-only file has.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "bindings/valkey/abi/redis_module.h"
#include "bindings/valkey/core/vector_set.h"

namespace shoal::vset_module {

// One VADD for each element, with its vector as the set keeps it (XENCODED): nothing is quantised
// twice. The set is at rest.
void EmitElements(redis::Io* io, redis::String* key, const vset::VectorSet& set);

// XENCODED's bytes: norm and range, float32 little-endian, then the encoded vector. nullopt: too
// short for both.
std::string ToBlob(const vset::EncodedView& vector);
std::optional<vset::EncodedVector> FromBlob(std::string_view blob);

// What VADD's options say: Q8, NOQUANT, BIN; COSINE, L2, IP.
const char* WordOf(vset::Quantization quantization);
const char* WordOf(vset::Similarity similarity);

}  // namespace shoal::vset_module
