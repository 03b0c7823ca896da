#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <set>
#include <utility>

#include "gather_wire.h"

namespace shoal::vset {
namespace {

using wire::Append;
using wire::Corrupt;
using wire::InRange;
using wire::Reader;
using wire::SizeOf;

constexpr uint32_t kSlots = 16384;

enum RequestFlag : uint32_t {
  kHasEpsilon = 1,
  kHasFilter = 2,
  kHasFilterEf = 4,
  kExact = 8,
  kWithAttributes = 16,
  kEncoded = 32,
  kAllRequestFlags = 63,
};

struct RequestHeader {
  std::array<char, 4> magic = {'S', 'V', 'Q', '1'};
  uint32_t flags = 0;
  uint64_t id = 0;
  uint32_t partitions = 0;
  uint32_t dim = 0;
  uint32_t count = 0;
  uint32_t ef = 0;
  uint32_t name_bytes = 0;
  uint32_t filter_bytes = 0;
  uint64_t filter_ef = 0;
  double epsilon = 0;
};
static_assert(sizeof(RequestHeader) == 56);

struct AnswerHeader {
  std::array<char, 4> magic = {'S', 'V', 'A', '1'};
  uint32_t similarity = 0;
  uint64_t id = 0;
  uint32_t partitions = 0;
  uint32_t entries = 0;
  uint32_t hits = 0;
  uint32_t problem_bytes = 0;
};
static_assert(sizeof(AnswerHeader) == 32);

struct EntryHeader {
  uint32_t partition = 0;
  uint32_t problem_bytes = 0;
};

struct HitHeader {
  uint32_t partition = 0;
  uint32_t name_bytes = 0;
  uint32_t attribute_bytes = 0;
  uint32_t unused = 0;
  double score = 0;
};
static_assert(sizeof(HitHeader) == 24);

// CRC-16 of the polynomial 0x1021 from 0: what slots are made of.
uint32_t SlotOfTag(std::string_view tag) {
  uint32_t crc = 0;
  for (const char c : tag) {
    crc ^= uint32_t{static_cast<uint8_t>(c)} << 8;
    for (int bit = 0; bit < 8; ++bit) crc = (crc << 1 ^ ((crc & 0x8000) != 0 ? 0x1021 : 0));
    crc &= 0xffff;
  }
  return crc % kSlots;
}

Status CheckHeader(const RequestHeader& header) {
  if ((header.flags & ~uint32_t{kAllRequestFlags}) != 0) return Corrupt("flags: unknown");
  if (!InRange(header.partitions, 1, kMaxPartitions)) return Corrupt("partitions: out of range");
  const bool is_encoded = (header.flags & kEncoded) != 0;
  if (is_encoded ? header.dim != 0 : !InRange(header.dim, 1, kMaxVectorDim))
    return Corrupt("dim: out of range");
  if (!InRange(header.count, 1, kMaxGatherCount)) return Corrupt("count: out of range");
  if (!InRange(header.ef, 1, kMaxEf)) return Corrupt("ef: out of range");
  if (!std::isfinite(header.epsilon)) return Corrupt("epsilon: a finite number expected");
  const auto is_given = [&](RequestFlag flag) { return (header.flags & flag) != 0; };
  if (!is_given(kHasEpsilon) && (header.epsilon != 0 || std::signbit(header.epsilon)))
    return Corrupt("epsilon: not given, 0 expected");
  if (is_given(kHasFilterEf) != (header.filter_ef != 0)) return Corrupt("filter_ef: out of range");
  if (!is_given(kHasFilter) && header.filter_bytes != 0)
    return Corrupt("filter: not given, none expected");
  return {};
}

Result<std::vector<GatherAnswer::Entry>> TakeEntries(Reader& reader, const AnswerHeader& header) {
  std::vector<GatherAnswer::Entry> entries;
  for (uint32_t i = 0; i < header.entries; ++i) {
    EntryHeader entry;
    GatherAnswer::Entry& made = entries.emplace_back();
    if (!reader.Take(entry) || entry.problem_bytes > kMaxProblemBytes ||
        !reader.Take(entry.problem_bytes, made.problem))
      return Corrupt("entries: longer than the message");
    made.partition = entry.partition;
    if (entry.partition >= header.partitions ||
        (i > 0 && entries[i - 1].partition >= entry.partition))
      return Corrupt("entries: ascending partitions expected");
  }
  return entries;
}

Result<std::vector<GatherHit>> TakeHits(Reader& reader, const AnswerHeader& header,
                                        const std::vector<GatherAnswer::Entry>& entries) {
  std::vector<GatherHit> hits;
  for (uint32_t i = 0; i < header.hits; ++i) {
    HitHeader hit;
    GatherHit& made = hits.emplace_back();
    if (!reader.Take(hit) || !reader.Take(hit.name_bytes, made.name) ||
        !reader.Take(hit.attribute_bytes, made.attribute))
      return Corrupt("hits: longer than the message");
    if (hit.unused != 0 || !std::isfinite(hit.score))
      return Corrupt("hits: a finite score expected");
    made.partition = hit.partition;
    made.score = hit.score;
    const auto entry =
        std::ranges::lower_bound(entries, hit.partition, {}, &GatherAnswer::Entry::partition);
    if (entry == entries.end() || entry->partition != hit.partition || !entry->problem.empty())
      return Corrupt("hits: one of a searched partition expected");
  }
  return hits;
}

}  // namespace

std::vector<std::string> PartitionTags(uint32_t partitions) {
  std::vector<std::string> tags(partitions);
  size_t found = 0;
  for (uint32_t number = 0; found < partitions; ++number) {
    std::array<char, 10> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    const std::string_view tag(digits.data(), end);
    std::string& place = tags[SlotOfTag(tag) * partitions / kSlots];
    if (!place.empty()) continue;
    place = tag;
    ++found;
  }
  return tags;
}

std::string PartitionKey(std::string_view name, std::string_view tag) {
  return std::string(name).append(":{").append(tag).append("}");
}

bool IsPartitionedName(std::string_view name) {
  return !name.empty() && name.find_first_of("{}") == std::string_view::npos;
}

std::string Encode(const GatherRequest& request) {
  RequestHeader header{.id = request.id,
                       .partitions = request.partitions,
                       .dim = static_cast<uint32_t>(request.query.size()),
                       .count = request.count,
                       .ef = request.ef,
                       .name_bytes = SizeOf(request.name),
                       .filter_bytes = SizeOf(request.filter.value_or("")),
                       .filter_ef = request.filter_ef.value_or(0),
                       .epsilon = request.epsilon.value_or(0)};
  if (request.epsilon) header.flags |= kHasEpsilon;
  if (request.filter) header.flags |= kHasFilter;
  if (request.filter_ef) header.flags |= kHasFilterEf;
  if (request.exact) header.flags |= kExact;
  if (request.with_attributes) header.flags |= kWithAttributes;
  if (request.encoded) header.flags |= kEncoded;
  std::string out;
  Append(header, out);
  out.append(reinterpret_cast<const char*>(request.query.data()),
             request.query.size() * sizeof(float));
  if (request.encoded) wire::AppendVector(*request.encoded, out);
  return out.append(request.name).append(request.filter.value_or(""));
}

Result<GatherRequest> ParseRequest(std::span<const std::byte> message) {
  Reader reader(message);
  RequestHeader header;
  if (Status taken = wire::TakeHeader(reader, "a request expected", header); !taken)
    return tl::unexpected(taken.error());
  if (Status checked = CheckHeader(header); !checked) return tl::unexpected(checked.error());
  GatherRequest request{.id = header.id,
                        .partitions = header.partitions,
                        .count = header.count,
                        .ef = header.ef,
                        .exact = (header.flags & kExact) != 0,
                        .with_attributes = (header.flags & kWithAttributes) != 0};
  if ((header.flags & kEncoded) != 0) {
    Result<GatherVector> encoded = wire::TakeVector(reader);
    if (!encoded) return tl::unexpected(encoded.error());
    request.encoded = *std::move(encoded);
  }
  std::string filter;
  if (!reader.Take(header.dim, request.query) || !reader.Take(header.name_bytes, request.name) ||
      !reader.Take(header.filter_bytes, filter))
    return Corrupt("cut off");
  if (!reader.is_empty()) return Corrupt("nothing behind the end expected");
  if (!std::ranges::all_of(request.query, [](float x) { return std::isfinite(x); }))
    return Corrupt("query: finite numbers expected");
  if (!IsPartitionedName(request.name)) return Corrupt("name: braces, or empty");
  if ((header.flags & kHasEpsilon) != 0) request.epsilon = header.epsilon;
  if ((header.flags & kHasFilter) != 0) {
    if (!FilterExpression::Parse(filter)) return Corrupt("filter: syntax error");
    request.filter = std::move(filter);
  }
  if ((header.flags & kHasFilterEf) != 0) request.filter_ef = header.filter_ef;
  return request;
}

std::string Encode(const GatherAnswer& answer) {
  std::string out;
  Append(AnswerHeader{.similarity = static_cast<uint32_t>(answer.similarity),
                      .id = answer.id,
                      .partitions = answer.partitions,
                      .entries = static_cast<uint32_t>(answer.entries.size()),
                      .hits = static_cast<uint32_t>(answer.hits.size()),
                      .problem_bytes = SizeOf(answer.problem)},
         out);
  out.append(answer.problem);
  for (const GatherAnswer::Entry& entry : answer.entries) {
    Append(EntryHeader{entry.partition, SizeOf(entry.problem)}, out);
    out.append(entry.problem);
  }
  for (const GatherHit& hit : answer.hits) {
    Append(HitHeader{.partition = hit.partition,
                     .name_bytes = SizeOf(hit.name),
                     .attribute_bytes = SizeOf(hit.attribute),
                     .score = hit.score},
           out);
    out.append(hit.name).append(hit.attribute);
  }
  return out;
}

Result<GatherAnswer> ParseAnswer(std::span<const std::byte> message) {
  Reader reader(message);
  AnswerHeader header;
  if (Status taken = wire::TakeHeader(reader, "an answer expected", header); !taken)
    return tl::unexpected(taken.error());
  if (header.similarity > static_cast<uint32_t>(Similarity::kInnerProduct))
    return Corrupt("similarity: unknown");
  if (!InRange(header.partitions, 1, kMaxPartitions)) return Corrupt("partitions: out of range");
  if (header.entries > header.partitions || header.hits > kMaxGatherCount ||
      header.problem_bytes > kMaxProblemBytes)
    return Corrupt("entries, hits or problem: too many");
  GatherAnswer answer{.id = header.id,
                      .partitions = header.partitions,
                      .similarity = static_cast<Similarity>(header.similarity)};
  if (!reader.Take(header.problem_bytes, answer.problem)) return Corrupt("problem: cut off");
  auto entries = TakeEntries(reader, header);
  if (!entries) return tl::unexpected(entries.error());
  auto hits = TakeHits(reader, header, *entries);
  if (!hits) return tl::unexpected(hits.error());
  if (!reader.is_empty()) return Corrupt("nothing behind the end expected");
  answer.entries = *std::move(entries);
  answer.hits = *std::move(hits);
  return answer;
}

void KeepBest(Similarity similarity, size_t count, std::vector<GatherHit>& hits) {
  const bool ascending = similarity == Similarity::kL2;
  std::ranges::stable_sort(hits, [&](const GatherHit& a, const GatherHit& b) {
    if (a.score != b.score) return ascending ? a.score < b.score : a.score > b.score;
    return a.name < b.name;
  });
  std::vector<GatherHit> best;
  std::set<std::string_view> names;
  best.reserve(std::min(count, hits.size()));  // The names' views hold.
  for (GatherHit& hit : hits) {
    if (best.size() == count) break;
    if (names.contains(hit.name)) continue;
    best.push_back(std::move(hit));
    names.insert(best.back().name);
  }
  hits = std::move(best);
}

void Gathering::Take(GatherAnswer answer) {
  if (answer.partitions != states_.size()) return;
  if (!answer.problem.empty()) problem_ = std::move(answer.problem);
  const bool fits = answer.hits.empty() || !similarity_ || *similarity_ == answer.similarity;
  std::vector<bool> is_new(states_.size());
  for (GatherAnswer::Entry& entry : answer.entries) {
    State& state = states_[entry.partition];
    if (!fits) entry.problem = "another distance metric than the others'";
    if (state.searched) continue;
    if (entry.problem.empty()) {
      state.searched = true;
      is_new[entry.partition] = true;
      ++searched_;
    } else {
      state.problem = std::move(entry.problem);
    }
  }
  if (!fits || answer.hits.empty()) return;
  similarity_ = answer.similarity;
  for (GatherHit& hit : answer.hits)
    if (is_new[hit.partition]) hits_.push_back(std::move(hit));
  KeepBest(*similarity_, count_, hits_);
}

std::vector<Gathering::Missing> Gathering::missing(std::string_view otherwise) const {
  std::vector<Missing> missing;
  for (uint32_t partition = 0; partition < states_.size(); ++partition) {
    const State& state = states_[partition];
    if (state.searched) continue;
    if (!state.problem.empty()) {
      missing.push_back({partition, state.problem});
    } else {
      missing.push_back({partition, problem_.empty() ? std::string(otherwise) : problem_});
    }
  }
  return missing;
}

}  // namespace shoal::vset
