#include "codec/centres.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "base/check.h"
#include "base/mismatch.h"
#include "codec/elements.h"

namespace shoal {
namespace {

constexpr uint32_t kBoth = 3;
// So that no distance of a vector of a legal norm overflows (base/norm.h).
constexpr double kMaxNormOfCentre = 1e18;
// A centre that is nearer to the origin has no direction.
constexpr double kNoDirection = 1e-30;

tl::unexpected<Error> Refuse(ErrorCode code, std::string_view field, std::string_view expected,
                             std::string_view found) {
  return Mismatch(code, std::string("centre: ").append(field), expected, found);
}

}  // namespace

Centres::Centres(Role role, size_t dim, size_t rotated_dim) : role_(role) {
  for (Set& set : sets_) {
    set.centre.resize(dim);
    set.reference.resize(dim);
    set.rotated.resize(rotated_dim);
  }
}

void Centres::Fill(uint32_t set, std::span<const float> centre, const Rotation& rotation) {
  Set& filled = sets_[set];
  std::copy(centre.begin(), centre.end(), filled.centre.begin());
  filled.reference = filled.centre;
  if (role_ == Role::kDirection) {
    const double norm = std::sqrt(NormSqOf(centre.data(), centre.size()));
    const double by = norm < kNoDirection ? 0 : 1 / norm;
    for (float& x : filled.reference) x = static_cast<float>(x * by);
  }
  std::fill(filled.rotated.begin(), filled.rotated.end(), 0.0f);
  std::copy(filled.reference.begin(), filled.reference.end(), filled.rotated.begin());
  rotation.Apply(filled.rotated.data());
}

Result<uint32_t> Centres::Announce(std::span<const float> centre, const Rotation& rotation) {
  const size_t dim = sets_[0].centre.size();
  if (centre.size() != dim)
    return Refuse(ErrorCode::kInvalidArgument, "dimension", Written(dim), Written(centre.size()));
  const double norm = std::sqrt(NormSqOf(centre.data(), dim));
  if (!(norm <= kMaxNormOfCentre))
    return Refuse(ErrorCode::kInvalidArgument, "norm", "at most " + Written(kMaxNormOfCentre),
                  Written(norm));
  const State now = state();
  if (now.alive == kBoth) return Refuse(ErrorCode::kAlreadyExists, "sets of parameters", "1", "2");
  const uint32_t set = 1 - now.current;
  Fill(set, centre, rotation);
  SetState({.alive = kBoth, .current = now.current});
  return set;
}

void Centres::Use(uint32_t set) {
  const State now = state();
  SHOAL_CHECK(now.has(set));
  SetState({.alive = now.alive, .current = set});
}

void Centres::Drop(uint32_t set) {
  const State now = state();
  SHOAL_CHECK(set < 2 && set != now.current);
  SetState({.alive = now.alive & ~(1u << set), .current = now.current});
}

void Centres::Write(std::vector<std::byte>& bytes) const {
  const auto append = [&bytes](const void* data, size_t n) {
    const auto* const from = static_cast<const std::byte*>(data);
    bytes.insert(bytes.end(), from, from + n);
  };
  const State now = state();
  append(&now.alive, sizeof(now.alive));
  append(&now.current, sizeof(now.current));
  for (uint32_t set = 0; set < 2; ++set)
    if (now.has(set)) append(centre(set), sets_[set].centre.size() * sizeof(float));
}

Status Centres::Read(std::span<const std::byte> bytes, const Rotation& rotation) {
  const auto refuse = [](std::string_view field, std::string_view expected, size_t found) {
    return Refuse(ErrorCode::kCorrupt, field, expected, Written(found));
  };
  constexpr size_t kHeader = 2 * sizeof(uint32_t);
  if (bytes.size() < kHeader) return refuse("bytes", "at least " + Written(kHeader), bytes.size());
  State read;
  std::memcpy(&read.alive, bytes.data(), sizeof(read.alive));
  std::memcpy(&read.current, bytes.data() + sizeof(read.alive), sizeof(read.current));
  if (read.alive == 0 || read.alive > kBoth) return refuse("sets", "1, 2 or 3", read.alive);
  if (read.current > 1 || !read.has(read.current))
    return refuse("current set", "one of the sets", read.current);
  std::vector<float> centre(sets_[0].centre.size());
  const size_t centre_bytes = centre.size() * sizeof(float);
  const size_t expected = kHeader + centre_bytes * (read.alive == kBoth ? 2 : 1);
  if (bytes.size() != expected) return refuse("bytes", Written(expected), bytes.size());

  const std::byte* at = bytes.data() + kHeader;
  for (uint32_t set = 0; set < 2; ++set) {
    if (!read.has(set)) continue;
    std::memcpy(centre.data(), at, centre_bytes);
    at += centre_bytes;
    if (!(std::sqrt(NormSqOf(centre.data(), centre.size())) <= kMaxNormOfCentre))
      return Refuse(ErrorCode::kCorrupt, "norm", "at most " + Written(kMaxNormOfCentre), "more");
    Fill(set, centre, rotation);
  }
  SetState(read);
  return {};
}

}  // namespace shoal
