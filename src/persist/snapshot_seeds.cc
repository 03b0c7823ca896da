#include "persist/snapshot_seeds.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/number.h"

namespace shoal {
namespace {

constexpr auto kSection = SnapshotSection::kSeeds;

// Takes numbers from the block, one after the other.
class SeedsParser {
 public:
  SeedsParser(const SnapshotReader& reader, std::vector<std::byte> block)
      : reader_(reader), points_(reader.header().points), block_(std::move(block)) {}

  Status ParseSets(std::vector<SeedSet>& sets) {
    size_t left = 1;
    for (uint64_t most = kMaxCoarseSeeds; left > 0; --left, most = kMaxFineSeeds) {
      SeedSet& set = sets.emplace_back();
      uint32_t n = 0;
      if (Status ok = TakeCount({"seeds", most, sizeof(float), sizeof(uint32_t)}, n); !ok)
        return ok;
      set.radius = Take<float>();
      if (!(set.radius >= 0 && std::isfinite(set.radius)))
        return Broken(at_ - 4, "radius", "a number of at least 0", Written(set.radius));
      set.points.resize(n);
      for (uint32_t& point : set.points)
        if (Status ok = TakePoint("seed", points_, point); !ok) return ok;
      std::vector<uint32_t> sorted = set.points;
      std::sort(sorted.begin(), sorted.end());
      if (const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
          twice != sorted.end())
        return Broken(at_ - size_t{4} * n, "seeds", "each point once",
                      std::to_string(*twice) + " twice");
      if (sets.size() == 1) left += n;
    }
    return {};
  }

  Status ParseAnchors(std::vector<SnapshotAnchor>& anchors) {
    uint32_t n = 0;
    if (Status ok = TakeCount({"anchors", points_, 0, sizeof(SnapshotAnchor)}, n); !ok) return ok;
    anchors.resize(n);
    for (size_t i = 0; i < n; ++i) {
      if (Status ok = TakePoint("anchor", points_ + 1, anchors[i].anchor); !ok) return ok;
      if (Status ok = TakePoint("anchored point", points_, anchors[i].point); !ok) return ok;
      if (i > 0 && !(anchors[i - 1] < anchors[i]))
        return Broken(at_ - 8, "anchors", "ascending", "anchor " + std::to_string(i) + " is not");
      if (i >= kMaxAnchored && anchors[i - kMaxAnchored].anchor == anchors[i].anchor)
        return Broken(at_ - 8, "anchors",
                      "at most " + std::to_string(kMaxAnchored) + " of an entry",
                      "more of " + std::to_string(anchors[i].anchor));
    }
    return {};
  }

  Status ExpectEnd() const {
    if (at_ == block_.size()) return {};
    return Broken(at_, "end of the anchors", std::to_string(block_.size()), std::to_string(at_));
  }

 private:
  template <class T>
  T Take() {
    const T value = NumberAt<T>(block_, at_);
    at_ += sizeof(T);
    return value;
  }
  // A count n, which `beside` bytes follow and n records.
  struct Counted {
    std::string_view field;
    uint64_t most;
    size_t beside, record;
  };
  Status TakeCount(const Counted& counted, uint32_t& n) {
    const size_t at = at_, left = block_.size() - at_;
    const bool is_there = left >= sizeof(n) + counted.beside;
    n = is_there ? Take<uint32_t>() : 0;
    const uint64_t needed = sizeof(n) + counted.beside + uint64_t{n} * counted.record;
    if (is_there && n <= counted.most && needed <= left) return {};
    return Broken(at, counted.field,
                  "at most " + std::to_string(counted.most) + ", within the section",
                  std::to_string(n) + " in " + std::to_string(left) + " bytes");
  }
  Status TakePoint(std::string_view field, uint64_t below, uint32_t& point) {
    point = Take<uint32_t>();
    if (point < below) return {};
    return Broken(at_ - 4, field, "a point below " + std::to_string(below), std::to_string(point));
  }
  tl::unexpected<Error> Broken(size_t at, std::string_view field, std::string_view expected,
                               std::string_view found) const {
    return reader_.Broken(kSection, 0, at, field, expected, found);
  }

  const SnapshotReader& reader_;
  const uint64_t points_;
  const std::vector<std::byte> block_;
  size_t at_ = 0;
};

}  // namespace

void AppendSeeds(const SnapshotSeeds& seeds, std::vector<std::byte>& block) {
  for (const SeedSet& set : seeds.sets) {
    PutNumber(block, static_cast<uint32_t>(set.points.size()));
    PutNumber(block, set.radius);
    for (const uint32_t point : set.points) PutNumber(block, point);
  }
  PutNumber(block, static_cast<uint32_t>(seeds.anchors.size()));
  for (const auto& [anchor, point] : seeds.anchors) {
    PutNumber(block, anchor);
    PutNumber(block, point);
  }
}

Result<SnapshotSeeds> ReadSeeds(const SnapshotReader& reader) {
  SnapshotSeeds seeds;
  if (reader.header().start_points == 0) return seeds;
  std::vector<std::byte> block;
  if (Status ok = reader.ReadBlock(kSection, 0, block); !ok) return tl::unexpected(ok.error());
  SeedsParser parser(reader, std::move(block));
  Status ok = parser.ParseSets(seeds.sets);
  if (ok) ok = parser.ParseAnchors(seeds.anchors);
  if (ok) ok = parser.ExpectEnd();
  if (!ok) return tl::unexpected(ok.error());
  return seeds;
}

bool HaveClusters(const SnapshotSeeds& seeds, size_t slots) {
  if (seeds.sets.empty()) return false;
  std::vector<float> fine;
  for (size_t i = 1; i < seeds.sets.size(); ++i) fine.push_back(seeds.sets[i].radius);
  return HaveClusters(seeds.sets.front().radius, fine, slots);
}

}  // namespace shoal
