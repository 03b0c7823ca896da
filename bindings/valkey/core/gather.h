// One vector set in many keys, on the nodes of a cluster: the rule that says which keys these are,
// what nodes say to each other when one of them gathers hits, and what it makes of the answers.
//
// Messages are little-endian, and bounded (kMaxGatherBytes):
//   request  "SVQ1", flags, id, partitions, dim, count, ef, name bytes, filter bytes, FILTER-EF,
//            epsilon, dim float32, or an encoded vector (flag 32; dim is 0), name, filter
//   answer   "SVA1", id, partitions, similarity, entries, hits, problem bytes, problem,
//            entries (partition, problem bytes, problem), in ascending order,
//            hits (partition, name bytes, attribute bytes, score, name, attribute)
// and, before a search for an element of another node's (gather_element.cc):
//   element  "SVE1", partitions, id, name bytes, element bytes, name, element
//   vector   "SVV1", found, id; if found is 1, an encoded vector
// An encoded vector is dim, input_dim, quantization, similarity, norm, range, bytes.
// Whatever is not given is 0. So a message that is parsed is the one that its value is encoded to.
// Thread safety: as of values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shoal/result.h"
#include "vector_set.h"

namespace shoal::vset {

inline constexpr uint32_t kMaxPartitions = 1024;
inline constexpr size_t kMaxGatherCount = 1000;  // Hits that one request can ask for.
inline constexpr size_t kMaxGatherBytes = size_t{4} << 20;
inline constexpr size_t kMaxProblemBytes = 256;

// Tags of the partitions 0 to `partitions` - 1, which are 1 to kMaxPartitions: that of p is the
// smallest number, in decimal digits, whose slot CRC16(tag) mod 16384 is in the p-th of so many
// equal parts of all slots.
std::vector<std::string> PartitionTags(uint32_t partitions);
// name:{tag}
std::string PartitionKey(std::string_view name, std::string_view tag);
// Not empty, no braces: else the slot would not be the tag's.
bool IsPartitionedName(std::string_view name);

// The partition that an element belongs to: CRC32(element) mod `partitions`.
uint32_t PartitionOf(std::string_view element, uint32_t partitions);

// A vector as a set of this encoding keeps it.
struct GatherVector {
  EncodingOptions encoding = {};
  EncodedVector vector = {};
};

struct GatherRequest {
  uint64_t id = 0;
  std::string name = {};
  uint32_t partitions = 1;
  std::vector<float> query = {};                       // Finite.
  std::optional<GatherVector> encoded = std::nullopt;  // Instead of `query`; not checked.
  uint32_t count = kDefaultCount;
  uint32_t ef = kDefaultEf;
  std::optional<double> epsilon = std::nullopt;
  std::optional<std::string> filter = std::nullopt;  // One that FilterExpression::Parse takes.
  std::optional<uint64_t> filter_ef = std::nullopt;
  bool exact = false;
  bool with_attributes = false;
};

struct GatherHit {
  uint32_t partition = 0;
  double score = 0;
  std::string name;
  std::string attribute;
};

// What one node says: of which partitions it has searched all, and of which it cannot say why not.
struct GatherAnswer {
  struct Entry {
    uint32_t partition = 0;
    std::string problem;  // Empty: searched.
  };
  uint64_t id = 0;
  uint32_t partitions = 1;
  Similarity similarity = Similarity::kCosine;  // Of the hits' scores.
  std::string problem = {};                     // Of the node as a whole.
  std::vector<Entry> entries = {};              // By partition, each once.
  std::vector<GatherHit> hits = {};             // Of searched partitions.
};

// Asks the node that has it for the vector of an element.
struct ElementRequest {
  uint64_t id = 0;
  uint32_t partitions = 1;
  std::string name = {};
  std::string element = {};
};
struct ElementAnswer {
  uint64_t id = 0;
  std::optional<GatherVector> vector = std::nullopt;  // nullopt: not on this node. Not checked.
};

std::string Encode(const GatherRequest& request);
std::string Encode(const GatherAnswer& answer);
// The input may be hostile. Corrupt: not a message of this kind and version, cut off, more behind
// the end, or out of range; names the field.
Result<GatherRequest> ParseRequest(std::span<const std::byte> message);
Result<GatherAnswer> ParseAnswer(std::span<const std::byte> message);
std::string Encode(const ElementRequest& request);
std::string Encode(const ElementAnswer& answer);
Result<ElementRequest> ParseElementRequest(std::span<const std::byte> message);
Result<ElementAnswer> ParseElementAnswer(std::span<const std::byte> message);

// The hits in the order of their scores, ties in byte order of names; of equal names the first; at
// most `count`.
void KeepBest(Similarity similarity, size_t count, std::vector<GatherHit>& hits);

// The answers of nodes, each partition once: the first that has searched it holds.
class Gathering {
 public:
  struct Missing {
    uint32_t partition;
    std::string reason;
  };

  Gathering(uint32_t partitions, size_t count) : count_(count), states_(partitions) {}

  // An answer to other partitions or of another similarity than the hits so far is left out.
  void Take(GatherAnswer answer);
  // All partitions were searched.
  bool is_complete() const { return searched_ == states_.size(); }
  const std::vector<GatherHit>& hits() const { return hits_; }
  // Partitions that were not searched, and why: `otherwise` where no node has said.
  std::vector<Missing> missing(std::string_view otherwise) const;

 private:
  struct State {
    bool searched = false;
    std::string problem;
  };

  size_t count_;
  std::vector<State> states_;
  size_t searched_ = 0;
  std::optional<Similarity> similarity_;
  std::string problem_;  // The last that a node had.
  std::vector<GatherHit> hits_;
};

}  // namespace shoal::vset
