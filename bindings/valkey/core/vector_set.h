// A vector set: elements with a name, a vector and an attribute, and a search for the most similar
// ones. What the vector-set commands do to a key, without a server.
//
//   auto set = VectorSet::Create({.encoding = {.dim = 3}});
//   set->Add("apple", *set->encoding().Encode(vector), R"({"price": 3})");
//   for (const Found& hit : *set->Search(query, {.count = 5})) ...
//
// An element that is added is found by the next search: it is in the tail, which searches scan
// exactly, until a worker thread has linked it into a graph (shoal::Index). Small sets are tail
// only. Add never links. So an owner that adds faster than threads link must wait (TailIsFull).
//
// State. Equal sequences of Add, Remove and SetAttribute give equal names, encoded vectors and
// attributes (ForEach), whatever the threads did. The graph is a means to find them, and may
// differ.
//
// Thread safety. Functions under "owner" are called by one thread at a time (a server's main
// thread), and never wait for a search. Those under "any thread" may run at the same time as these
// and each other. ForEach may also be called in the child of a fork, if the parent closed the
// WorkGate before it forked; nothing else may be called there. Destroying a set needs all calls to
// have returned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "encoding.h"
#include "filter_expression.h"
#include "shoal/result.h"
#include "shoal/stats.h"
#include "work_gate.h"

namespace shoal::vset {

inline constexpr uint32_t kDefaultLinks = 16;  // M
inline constexpr uint32_t kMinLinks = 4;
inline constexpr uint32_t kMaxLinks = 4096;
inline constexpr uint32_t kDefaultBuildEf = 200;  // EF of an insert.
inline constexpr uint32_t kMaxEf = 1000000;
inline constexpr size_t kDefaultCount = 10;
inline constexpr size_t kDefaultEf = 100;     // EF of a search.
inline constexpr double kDefaultEpsilon = 2;  // Under cosine: everything.
// Bytes of a name, and of an attribute.
inline constexpr size_t kMaxNameBytes = 0x7fffffff;
inline constexpr uint64_t kMaxElements = 0xfffffffe;
// Elements from which on a set has a graph. (Guessed: below, a scan is as fast.)
inline constexpr size_t kLinkFrom = 256;
// Elements of the tail beyond which the owner should wait. (Guessed: a scan of as many int8 vectors
// of 1,000 elements takes as long as a search of the graph.)
inline constexpr size_t kMaxTail = 1024;

struct VectorSetOptions {
  EncodingOptions encoding;
  // M: kMinLinks to kMaxLinks. The graph has up to 2 M edges a point, as HNSW's lowest layer has;
  // at most shoal::kMaxDegree.
  uint32_t links = kDefaultLinks;
  // EF of all inserts, 1 to kMaxEf. The graph's inserts keep half as many candidates: at least 2 M,
  // if EF is that much, and at most shoal::kMaxListSize.
  uint32_t build_ef = kDefaultBuildEf;
  // Entered by Link, Maintain and exact searches. Null: none. It outlives the set.
  WorkGate* gate = nullptr;
};

enum class AddOutcome : uint8_t { kAdded, kUpdated };

struct SearchRequest {
  size_t count = kDefaultCount;  // Most hits, at least 1.
  size_t ef = kDefaultEf;        // Candidates of the graph's search; at least `count` is used.
  // Under cosine: hits have (1 - cos) / 2 <= epsilon. Else, if given: a squared distance of at
  // most, or an inner product of at least, epsilon.
  std::optional<double> epsilon = std::nullopt;
  // Only elements that match, if not null. It lives as long as the call.
  const FilterExpression* filter = nullptr;
  // With a filter: only so many of the nearest elements are judged, and fewer than `count` may be
  // found. 0: the search goes on until `count` are found or all have been judged.
  size_t filter_ef = 0;
  enum class Scan : uint8_t { kGraph, kExact };
  Scan scan = Scan::kGraph;  // kExact: all elements are compared (TRUTH).
};

struct Found {
  std::string name;
  double score = 0;       // Encoding::Score.
  std::string attribute;  // Empty: none.
};

struct Neighbor {
  std::string name;
  double score = 0;
};

// One end of a range of names in byte order.
struct NameBound {
  enum class Kind : uint8_t { kInclusive, kExclusive, kUnbounded };
  Kind kind = Kind::kUnbounded;
  std::string_view name = {};
};

// What ForEach shows. The views hold until the call returns.
struct ElementView {
  std::string_view name;
  EncodedView vector;
  std::string_view attribute;  // Empty: none.
};

struct VectorSetInfo {
  VectorSetOptions options;
  size_t size = 0;
  size_t attributes = 0;  // Elements that have one.
  size_t tail = 0;        // Elements that are not linked.
  size_t graph_points = 0;
  uint64_t added = 0;  // Elements and updates ever added: ids given so far.
};

// Bytes of memory, by what they are for.
struct VectorSetMemory {
  uint64_t elements = 0;  // Names, attributes, norms; vectors that are not linked.
  uint64_t table = 0;     // From numbers to elements.
  uint64_t order = 0;     // From names to numbers, sorted.
  uint64_t retired = 0;   // What searches may still read; freed later.
  MemoryBreakdown graph = {};
  uint64_t total() const { return elements + table + order + retired + graph.total(); }
};

class SetLoader;
class SetSearch;

class VectorSet {
 public:
  // InvalidArgument names the option that is out of range. Unsupported: Encoding::Create.
  static Result<std::unique_ptr<VectorSet>> Create(const VectorSetOptions& options);
  ~VectorSet();
  VectorSet(const VectorSet&) = delete;
  VectorSet& operator=(const VectorSet&) = delete;

  // --- Owner ---

  // Stores an element, or gives the one with this name another vector. Searches that begin when it
  // has returned find it; searches meanwhile find an updated one with either vector. `attribute`:
  // null keeps what is there; empty removes it. `vector` is one that encoding() made.
  // InvalidArgument: a vector of another number of bytes; a name or attribute beyond
  // kMaxNameBytes. OutOfMemory: more than kMaxElements.
  Result<AddOutcome> Add(std::string_view name, const EncodedView& vector,
                         std::optional<std::string_view> attribute = std::nullopt);
  // False: no such element. Its memory is freed when no search reads it any more.
  bool Remove(std::string_view name);
  // False: no such element. Empty removes the attribute. InvalidArgument: beyond kMaxNameBytes.
  Result<bool> SetAttribute(std::string_view name, std::string_view attribute);

  bool Contains(std::string_view name) const;
  // Empty: it has none. nullopt: no such element. Valid until the next call of a writing function.
  std::optional<std::string_view> Attribute(std::string_view name) const;
  // A copy, to search with, to decode, or to report raw.
  std::optional<EncodedVector> Vector(std::string_view name) const;
  // Its neighbors, the most similar first, at most M. nullopt: no such element. (The Index's own
  // lists are not public: these are what a search for the element finds.)
  std::optional<std::vector<Neighbor>> Links(std::string_view name) const;
  // `count` different elements, or all; with repeats, exactly `count`, unless the set is empty.
  // Depends on the set's elements, the order in which they were added, and the seed.
  enum class Repeats : uint8_t { kNo, kYes };
  std::vector<std::string> RandomMembers(size_t count, Repeats repeats, uint64_t seed) const;
  // Names from `first` to `last` in byte order, at most `limit`.
  std::vector<std::string> Range(const NameBound& first, const NameBound& last,
                                 size_t limit = SIZE_MAX) const;

  // --- Any thread ---

  const Encoding& encoding() const;
  const VectorSetOptions& options() const;
  size_t size() const;
  VectorSetInfo Info() const;
  // O(1) in the number of elements.
  VectorSetMemory Memory() const;

  // The most similar elements, the most similar first, ties in byte order of names. An element that
  // is in the set throughout the call may be missed only as an approximate search misses it.
  // InvalidArgument: count or ef of 0; a query of another number of bytes. OutOfMemory.
  Result<std::vector<Found>> Search(const EncodedView& query, const SearchRequest& request) const;

  // Elements that wait to be linked: Link has work. 0 in sets below kLinkFrom.
  size_t Unlinked() const;
  // Whether more than kMaxTail wait: searches get slow. Before it adds another, the owner waits
  // until threads have linked some, or calls Link(1) itself.
  bool TailIsFull() const;
  // Links up to `most` elements of the tail; several threads may call it. Returns how many it has
  // linked: 0 means that none wait. Holds the gate for one element at a time. OutOfMemory: the
  // element stays in the tail.
  Result<size_t> Link(size_t most);
  // Whether Maintain should be called: many removed elements wait for the repair of the graph, and
  // keep their memory until then; or most of what the graph has memory for was removed.
  bool NeedsMaintenance() const;
  // Repairs the graph, or moves its points together and frees memory. Ends early when the gate
  // closes. Calls at the same time do no harm.
  Status Maintain();

  // --- Owner, and the child of its fork ---

  // Calls `visit` for each element, in byte order of names. `visit` changes nothing. In a child no
  // lock that another thread may have held is waited for.
  void ForEach(const std::function<void(const ElementView&)>& visit) const;

 private:
  class Impl;
  friend class SetLoader;
  friend class SetSearch;
  explicit VectorSet(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The element as bytes of which no two different elements have the same: for digests. Appended to
// `out`: the lengths of name and attribute, both, norm, range, the vector.
void AppendDigestBytes(const ElementView& element, std::string& out);

}  // namespace shoal::vset
