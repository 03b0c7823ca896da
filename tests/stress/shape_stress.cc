// Stress of indices of every shape: in each round a fresh index of random options (degrees and
// lists as small as they may be, every type, metric and policy of repair, now and then a memory
// limit) for a few ids or many, of vectors of which many are equal, and all calls at once in random
// shares; half of the threads are held up once, somewhere. Which call wins is not known. What is
// checked:
//   1. every call comes to its end: when none has for kPatience, the program says what the index
//      is like and aborts, so that the core or a debugger shows which thread waits for what;
//   2. calls fail only as they may;
//   3. at rest ids, points and slots agree, CheckStructure passes, and every vector finds its id;
//   4. a loaded copy is the same, and after Clear nothing is left.
// --threads: the most that a round has.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <sstream>
#include <string>

#include "shoal/index.h"
#include "stress/stress.h"

namespace shoal::testing {
namespace {

using std::chrono::steady_clock;
constexpr auto kPatience = std::chrono::seconds(240);

// What a round's index and its load are like.
struct Shape {
  explicit Shape(Random& random, size_t most_threads)
      : threads(1 + random.Below(most_threads)),
        ids(random.OneIn(3) ? 1 + random.Below(20) : 1 + random.Below(1500)),
        vectors(random.OneIn(6) ? 1 : 1 + random.Below(2 * ids)),
        calls((random.OneIn(4) ? 6000 : 1500) / threads) {
    options.dim = static_cast<uint32_t>(1 + random.Below(random.OneIn(4) ? 100 : 8));
    options.scalar_type = static_cast<ScalarType>(random.Below(4));
    options.metric = static_cast<Metric>(random.Below(4));
    options.max_degree = static_cast<uint32_t>(4 + random.Below(random.OneIn(3) ? 20 : 4));
    options.build_list_size = static_cast<uint32_t>(1 + random.Below(random.OneIn(3) ? 60 : 8));
    options.alpha = 1.0f + static_cast<float>(random.Below(5)) * 0.25f;
    options.runtime.repair = static_cast<RepairPolicy>(random.Below(3));
    options.runtime.repair_threads = static_cast<uint32_t>(1 + random.Below(3));
    options.runtime.repair_share = random.OneIn(2) ? 100 : 20;
    if (random.OneIn(12))
      options.runtime.memory_limit = 1 + random.Below(uint64_t{1} << (18 + random.Below(8)));
    for (uint64_t& share : shares) share = random.OneIn(3) ? 0 : random.Below(20);
    shares[0] += 10;  // No round without inserts, or
    ++shares[3];      // without a search.
  }

  std::string Words() const {
    std::ostringstream words;
    words << "dim " << options.dim << ", type " << static_cast<int>(options.scalar_type)
          << ", metric " << static_cast<int>(options.metric) << ", R " << options.max_degree
          << ", L " << options.build_list_size << ", alpha " << options.alpha << ", policy "
          << static_cast<int>(options.runtime.repair) << ", repair threads "
          << options.runtime.repair_threads << ", limit " << options.runtime.memory_limit
          << ", threads " << threads << ", ids " << ids << ", vectors " << vectors << ", shares";
    for (const uint64_t share : shares) words << ' ' << share;
    return words.str();
  }

  IndexOptions options;
  size_t threads, ids, vectors, calls;
  // Of inserts, upserts, deletes, searches and gets. (One call in 200 is for many points.)
  std::array<uint64_t, 5> shares{};
};

// For a round's files.
struct TempFolder {
  TempFolder() { std::filesystem::create_directories(path); }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("shoal-shape-stress-" + std::to_string(getpid()));
};

class Round {
 public:
  Round(Stress& stress, const Shape& shape, uint64_t seed)
      : stress_(stress), shape_(shape), seed_(seed), index_(*Index::Create(shape.options)) {
    // Small whole numbers, never all zero: every type has them.
    Random random(seed);
    const size_t size = BytesOf(shape_.options.scalar_type, 1);
    vectors_.resize(shape_.vectors * shape_.options.dim * size);
    for (size_t i = 0; i < shape_.vectors * shape_.options.dim; ++i)
      Store(vectors_.data() + i * size, static_cast<int>(1 + random.Below(100)));
  }

  void Run() {
    std::vector<std::thread> threads;
    for (size_t i = 0; i < shape_.threads; ++i)
      threads.emplace_back([this, i] {
        Random random(Random::Mix(seed_ + 1 + i));
        points_until_stall = random.OneIn(2) ? uint64_t{1} << random.Below(12) : 0;
        for (size_t call = 0; call < shape_.calls; ++call) {
          Call(random);
          done_.fetch_add(1, std::memory_order_relaxed);
        }
        ended_.fetch_add(1, std::memory_order_release);
      });
    Watch(shape_.threads);
    for (std::thread& thread : threads) thread.join();
    std::thread rest([this] {
      CheckAtRest();
      ended_.fetch_add(1, std::memory_order_release);
    });
    Watch(shape_.threads + 1);
    rest.join();
  }

  // By all rounds.
  inline static std::atomic<uint64_t> writes{0}, refused{0}, reads{0}, wholes{0}, no_memory{0},
      loads{0};

 private:
  void Store(std::byte* at, int value) const {
    const auto put = [&](auto typed) { std::memcpy(at, &typed, sizeof typed); };
    switch (shape_.options.scalar_type) {
      case ScalarType::kFloat32: return put(static_cast<float>(value));
      case ScalarType::kFloat16: return put(HalfOf(value));
      case ScalarType::kInt8: return put(static_cast<int8_t>(value));
      case ScalarType::kUint8: return put(static_cast<uint8_t>(value));
      case ScalarType::kBit: break;  // Not among the shapes: an element is no whole byte.
    }
  }
  // The half of a whole number from 1 to 1023.
  static uint16_t HalfOf(int value) {
    int exponent = 0;
    while (value >> (exponent + 1) != 0) ++exponent;
    return static_cast<uint16_t>((exponent + 15) << 10 | (value << (10 - exponent) & 0x3ff));
  }

  // Until so many have ended.
  void Watch(size_t ends) {
    auto since = steady_clock::now();
    for (uint64_t seen = 0; ended_.load(std::memory_order_acquire) < ends;) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      const uint64_t done = done_.load(std::memory_order_relaxed);
      if (done != seen) since = steady_clock::now();
      seen = done;
      if (steady_clock::now() - since < kPatience) continue;
      std::fprintf(stderr, "shape_stress: VIOLATION: no call has come to its end: %s\n",
                   shape_.Words().c_str());
      std::abort();
    }
  }

  void Violation(const std::string& what) { stress_.Violation(what + " (" + shape_.Words() + ")"); }
  // OK, or one of the errors that the call may give.
  void Expect(const char* call, const Status& status, std::optional<ErrorCode> may = {}) {
    if (status) return;
    const ErrorCode code = status.error().code;
    if (code == may) {
      refused.fetch_add(1, std::memory_order_relaxed);
    } else if (code == ErrorCode::kOutOfMemory && shape_.options.runtime.memory_limit > 0) {
      no_memory.fetch_add(1, std::memory_order_relaxed);
    } else {
      Violation(std::string(call) + ": " + status.error().message);
    }
  }
  template <class T>
  static Status StatusOf(const Result<T>& result) {
    if (result) return {};
    return tl::unexpected(result.error());
  }

  template <class Report>
  void Many(const char* call, const Result<Report>& report, ErrorCode may) {
    if (!report) return Expect(call, StatusOf(report));
    for (const auto& failure : report->failures) Expect(call, tl::unexpected(failure.error), may);
  }

  VectorView Vector(uint64_t number) const {
    return MatrixView(vectors_.data(), shape_.options.scalar_type, shape_.vectors,
                      shape_.options.dim)[number % shape_.vectors];
  }

  void Call(Random& random) {
    const ExternalId id = random.Below(shape_.ids);
    const VectorView vector = Vector(random.Next());
    if (random.OneIn(200)) return Whole(random);
    uint64_t sum = 0;
    for (const uint64_t share : shape_.shares) sum += share;
    uint64_t dice = random.Below(sum), kind = 0;
    while (dice >= shape_.shares[kind]) dice -= shape_.shares[kind++];
    (kind < 3 ? writes : reads).fetch_add(1, std::memory_order_relaxed);
    switch (kind) {
      case 0: return Expect("insert", index_.Insert(id, vector), ErrorCode::kAlreadyExists);
      case 1: return Expect("upsert", index_.Upsert(id, vector));
      case 2: return Expect("delete", index_.Delete(id), ErrorCode::kNotFound);
      case 3: return Search(random, vector);
      default: return Get(id);
    }
  }

  void Search(Random& random, VectorView query) {
    const SearchOptions options{.k = 1 + random.Below(20), .search_list_size = random.Below(60)};
    const auto hits = index_.Search(query, options);
    if (!hits) return Expect("search", StatusOf(hits));
    for (size_t i = 0; i < hits->size(); ++i) {
      if ((*hits)[i].id >= shape_.ids) Violation("a hit that was never inserted");
      for (size_t j = 0; j < i; ++j)
        if ((*hits)[j].id == (*hits)[i].id) Violation("a search returned an id twice");
      if (i > 0 && (*hits)[i].distance < (*hits)[i - 1].distance)
        Violation("hits are not nearest first");
    }
    if (random.OneIn(8) && !hits->empty())
      Expect("range search",
             StatusOf(index_.RangeSearch(query, {.radius = hits->back().distance})));
  }

  MutableVectorView Out(std::vector<std::byte>& bytes) const {
    return {bytes.data(), shape_.options.scalar_type, shape_.options.dim};
  }

  void Get(ExternalId id) {
    std::vector<std::byte> vector(Vector(0).bytes());
    Expect("get", index_.Get(id, Out(vector)), ErrorCode::kNotFound);
  }

  // Calls on many points, or all.
  void Whole(Random& random) {
    wholes.fetch_add(1, std::memory_order_relaxed);
    const BatchOptions batch{.threads = 1 + random.Below(3)};
    std::vector<ExternalId> ids(1 + random.Below(std::min<size_t>(shape_.ids, shape_.vectors)));
    for (ExternalId& id : ids) id = random.Below(shape_.ids);
    const MatrixView rows(vectors_.data(), shape_.options.scalar_type, ids.size(),
                          shape_.options.dim);
    switch (random.Below(shape_.shares[2] > 0 ? 8 : 6)) {
      case 0: return Expect("consolidate", index_.Consolidate(batch));
      case 1: return Expect("compact", StatusOf(index_.Compact(batch)));
      case 2: return Expect("refine", index_.Refine(batch));
      case 3: return Expect("ids", StatusOf(index_.Ids()));
      case 4: return Expect("save", index_.Save(folder_.path / "beside", batch));
      case 5: return Many("insert", index_.InsertMany(ids, rows, batch), ErrorCode::kAlreadyExists);
      case 6: return Many("delete", index_.DeleteMany(ids, batch), ErrorCode::kNotFound);
      default: return random.OneIn(4) ? Expect("clear", index_.Clear(batch)) : void();
    }
  }

  void CheckAtRest() {
    Expect("consolidate", index_.Consolidate());
    CheckWhole(index_);
    if (Random(seed_).OneIn(4)) {
      const auto path = folder_.path / "index";
      Expect("save", index_.Save(path));
      const auto copy =
          Index::Load(path, {.runtime = {.memory_limit = shape_.options.runtime.memory_limit}});
      if (!copy) return Expect("load", StatusOf(copy));
      loads.fetch_add(1, std::memory_order_relaxed);
      if (copy->size() != index_.size()) Violation("a loaded index has another size");
      CheckWhole(*copy);
    }
    Expect("clear", index_.Clear());
    Expect("consolidate", index_.Consolidate());
    const IndexStats stats = index_.Stats();
    if (index_.size() != 0 || (stats.edges != 0 && shape_.options.runtime.memory_limit == 0))
      Violation("something survives Clear");
  }

  void CheckWhole(const Index& index) {
    if (shape_.options.runtime.memory_limit == 0)  // Else there may be no memory for some repair.
      Expect("structure", index.CheckStructure());
    const auto ids = index.Ids();
    if (!ids) return Expect("ids", StatusOf(ids));
    if (ids->size() != index.size()) Violation("ids and points do not add up");
    if (std::any_of(ids->begin(), ids->end(), [&](ExternalId id) { return id >= shape_.ids; }))
      Violation("an id that was never inserted");
    Random random(seed_);
    std::vector<std::byte> vector(Vector(0).bytes());
    for (const ExternalId id : *ids) {
      if (!index.Contains(id)) Violation("an id is not contained");
      done_.fetch_add(1, std::memory_order_relaxed);
      if (!random.OneIn(1 + ids->size() / 64)) continue;
      Expect("get", index.Get(id, Out(vector)));
      const auto hits =
          index.Search(Out(vector), {.k = ids->size(), .search_list_size = ids->size()});
      if (!hits ||
          std::none_of(hits->begin(), hits->end(), [&](const Hit& hit) { return hit.id == id; }))
        Violation("the vector of id " + std::to_string(id) + " does not find it");
    }
  }

  Stress& stress_;
  const Shape shape_;
  const uint64_t seed_;
  Index index_;
  TempFolder folder_;
  std::vector<std::byte> vectors_;
  std::atomic<uint64_t> done_{0}, ended_{0};
};

int Run(const StressOptions& options) {
  Stress stress("shape_stress", options);
  uint64_t rounds = 0;
  const auto figures = [&]() -> std::vector<Stress::Figure> {
    return {{"rounds", rounds},
            {"writes", Round::writes},
            {"refused", Round::refused},
            {"reads", Round::reads},
            {"calls on all", Round::wholes}};
  };
  do {
    const uint64_t seed = Random::Mix(options.seed + rounds);
    Random random(seed);
    Round(stress, Shape(random, options.threads), seed).Run();
    ++rounds;
  } while (stress.Running(figures()));
  return stress.Finish(figures(), {{"loads", Round::loads}, {"out of memory", Round::no_memory}});
}

}  // namespace
}  // namespace shoal::testing

int main(int argc, char** argv) {
  shoal::testing::StressOptions options;
  if (!shoal::testing::ParseStressOptions(argc, argv, options)) return 2;
  return shoal::testing::Run(options);
}
