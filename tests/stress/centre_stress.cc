// Stress of a code's centre that is renewed: vectors drift, so that the centre is renewed again and
// again beside inserts, upserts, deletes, searches and snapshots.
//
// A vector certifies its id and its version: the place of the id, moved by a drift that follows
// from the version and grows with it. Coordinates are multiples of 1/4 below 1,024, so that squared
// distances of vectors near each other are exact. Each id has one writer, which says before a write
// which version begins and after it which is there. What is checked:
//   1. A hit has the distance of a version that its id can have had during the search. Each id
//   once.
//   2. An id that was never deleted, whose vector is sought at its latest version, is found.
//   3. CheckStructure, at rest and of loaded snapshots, which hold all ids that are never deleted.
// --threads: writers; as many search. The repair policy changes with every index.
#include <array>
#include <filesystem>
#include <memory>
#include <string>

#include "index_impl.h"
#include "shoal/index.h"
#include "stress/stress.h"

namespace shoal::testing {
namespace {

constexpr size_t kDim = 16;
constexpr size_t kIds = 400;          // Every fourth is deleted now and then.
constexpr uint64_t kVersions = 1500;  // Of an index, over all ids.
using Vector = std::array<float, kDim>;

Vector VectorOf(ExternalId id, uint64_t version) {
  Vector vector;
  for (size_t i = 0; i < kDim; ++i)
    vector[i] = static_cast<float>(Random::Mix(id * kDim + i) % 256) * 0.25f +
                static_cast<float>(version) * 0.25f;
  return vector;
}

class CentreStress {
 public:
  explicit CentreStress(const StressOptions& options)
      : threads_(std::max<size_t>(1, options.threads / 2)), stress_("centre_stress", options) {
    path_ = std::filesystem::temp_directory_path() /
            ("shoal-centre-stress-" + std::to_string(Random::Mix(options.seed)));
  }
  ~CentreStress() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }

  int Run() {
    for (uint64_t round = 0; stress_.Running(Figures()); ++round) Round(round);
    if (missed_ > 3 + sought_ / 1000) stress_.Violation("more than 1 in 1,000 ids not found");
    return stress_.Finish(Figures(), {{"missed", missed_}});
  }

 private:
  struct State {
    std::atomic<uint64_t> begun{0}, done{0};
  };
  std::vector<Stress::Figure> Figures() const {
    return {{"rounds", rounds_}, {"writes", writes_},     {"deletes", deletes_}, {"hits", hits_},
            {"sought", sought_}, {"renewals", renewals_}, {"saves", saves_}};
  }
  static bool IsDeleted(ExternalId id) { return id % 4 == 3; }

  void Fail(const char* what, const Error& error) {
    stress_.Violation(std::string(what) + ": " + error.message);
  }

  void Round(uint64_t round) {
    index_ = std::make_unique<Index>(
        *Index::Create({.dim = kDim,
                        .code = round % 2 == 0 ? Code::kRq4 : Code::kRq2,
                        .max_degree = 12,
                        .build_list_size = 30,
                        .runtime = {.repair = static_cast<RepairPolicy>(round / 2 % 3)}}));
    states_ = std::vector<State>(kIds);
    for (ExternalId id = 0; id < kIds; ++id)
      if (const Status in = index_->Insert(id, VectorOf(id, 0)); !in) Fail("insert", in.error());
    settled_ = 0;
    writing_ = threads_;
    for (size_t t = 0; t < threads_; ++t) {
      stress_.Spawn([this, t](Random& random) {
        for (uint64_t i = 0; i < kVersions / threads_ * 4 && !stress_.Failed(); ++i)
          Write(t, i * threads_ / 4, random);
        --writing_;
      });
      stress_.Spawn([this](Random& random) {
        while (writing_ > 0 && !stress_.Failed()) Search(random);
      });
    }
    stress_.Spawn([this](Random& random) {
      while (writing_ > 0 && !stress_.Failed()) Upkeep(random);
    });
    stress_.Join();
    const auto at_rest = [&] {
      return !IndexImpl::Of(*index_).renewal().active() && index_->Stats().pending_repairs == 0;
    };
    for (int i = 0; i < 1000 && !at_rest(); ++i)
      if (const Status done = index_->Consolidate(); !done) Fail("consolidate", done.error());
    stress_.Check(at_rest(), "a renewal that does not end");
    if (const Status ok = index_->CheckStructure(); !ok) Fail("structure", ok.error());
    renewals_ += IndexImpl::Of(*index_).renewal().Count();
    ++rounds_;
  }

  // Codes are coarse far from their centre. On a busy machine renewals take long, so a writer that
  // is far ahead of one helps to end it first.
  void KeepNearTheCentre(uint64_t version) {
    constexpr uint64_t kAhead = 60;  // Versions.
    const auto& renewal = IndexImpl::Of(*index_).renewal();
    while (renewal.active() && version > settled_ + kAhead && !stress_.Failed())
      if (const Status done = index_->Consolidate(); !done) Fail("consolidate", done.error());
    if (!renewal.active()) settled_ = version;
  }

  void Write(size_t t, uint64_t version, Random& random) {
    KeepNearTheCentre(version);
    const ExternalId id = random.Below(kIds / threads_) * threads_ + t;
    State& state = states_[id];
    version = std::max(version, state.begun.load());
    state.begun = version;
    if (IsDeleted(id) && random.OneIn(2)) {
      const Status deleted = index_->Delete(id);
      if (!deleted && deleted.error().code != ErrorCode::kNotFound) Fail("delete", deleted.error());
      ++deletes_;
    } else if (const Status in = index_->Upsert(id, VectorOf(id, version)); !in) {
      Fail("upsert", in.error());
    }
    state.done = version;
    ++writes_;
  }

  void Search(Random& random) {
    const ExternalId id = random.Below(kIds);
    const uint64_t version = states_[id].done;
    const Vector query = VectorOf(id, version);
    std::array<uint64_t, kIds> before;
    for (size_t i = 0; i < kIds; ++i) before[i] = states_[i].done;
    const auto hits = index_->Search(query, {.k = 10, .search_list_size = 100, .rerank = 100});
    if (!hits) return Fail("search", hits.error());
    bool found = false;
    std::array<bool, kIds> met{};
    for (const Hit& hit : *hits) {
      stress_.Check(hit.id < kIds && !met[hit.id], "an id twice");
      met[hit.id] = true;
      found |= hit.id == id;
      const uint64_t last = states_[hit.id].begun;
      bool is_right = false;
      for (uint64_t v = before[hit.id]; v <= last && !is_right; ++v)
        is_right = hit.distance == Distance(query, VectorOf(hit.id, v));
      stress_.Check(is_right, "a hit at the distance of no version that its id had");
    }
    hits_ += hits->size();
    if (IsDeleted(id) || states_[id].begun != version) return;
    ++sought_;
    if (!found) ++missed_;
  }

  void Upkeep(Random& random) {
    if (random.OneIn(8)) return Save();
    if (random.OneIn(4)) {
      if (const auto done = index_->Compact(); !done) Fail("compact", done.error());
    } else if (const Status done = index_->Consolidate(); !done) {
      Fail("consolidate", done.error());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1 + random.Below(10)));
  }

  void Save() {
    if (const Status saved = index_->Save(path_); !saved) return Fail("save", saved.error());
    const Result<Index> loaded = Index::Load(path_);
    if (!loaded) return Fail("load", loaded.error());
    for (ExternalId id = 0; id < kIds; ++id)
      stress_.Check(IsDeleted(id) || loaded->Contains(id), "a snapshot lacks an id");
    if (const Status ok = loaded->CheckStructure(); !ok) Fail("structure", ok.error());
    ++saves_;
  }

  const size_t threads_;
  Stress stress_;
  std::filesystem::path path_;
  std::unique_ptr<Index> index_;
  std::vector<State> states_;
  std::atomic<uint64_t> settled_{0};  // A version at which no renewal was under way.
  std::atomic<size_t> writing_{0};
  std::atomic<uint64_t> rounds_{0}, writes_{0}, deletes_{0}, hits_{0}, sought_{0}, missed_{0},
      renewals_{0}, saves_{0};
};

}  // namespace
}  // namespace shoal::testing

int main(int argc, char** argv) {
  shoal::testing::StressOptions options;
  if (!shoal::testing::ParseStressOptions(argc, argv, options)) return 2;
  return shoal::testing::CentreStress(options).Run();
}
