// Random operations on an index, against a map and brute force. Every assertion is a promise, none
// a likelihood: with L >= N a search sees every point that can be reached, and every point can be.
#include <gtest/gtest.h>

#include <cmath>
#include <iostream>
#include <map>
#include <set>

#include "shoal/index.h"
#include "tests/print_types.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Rows;

class RandomRun {
 public:
  RandomRun(ScalarType type, Metric metric, RepairPolicy repair, uint64_t seed)
      : random_(seed),
        metric_(metric),
        repair_(repair),
        dim_(1 + Below(40)),
        generator_(type, {.dim = dim_, .clusters = Below(6), .norm_sigma = 0.2}, random_()),
        rows_(type, dim_),
        index_(Create(type)) {}

  void Step() {
    struct Choice {
      size_t below;
      void (RandomRun::*step)();
    };
    static constexpr Choice kChoices[] = {
        {250, &RandomRun::InsertNew},   {290, &RandomRun::InsertBatch},
        {320, &RandomRun::InsertTaken}, {480, &RandomRun::Delete},
        {510, &RandomRun::DeleteBatch}, {600, &RandomRun::Upsert},
        {700, &RandomRun::SearchAll},   {800, &RandomRun::SearchFew},
        {870, &RandomRun::SearchRange}, {910, &RandomRun::AskContains},
        {940, &RandomRun::AskGet},      {950, &RandomRun::AskIds},
        {965, &RandomRun::Refine},      {975, &RandomRun::Consolidate},
        {985, &RandomRun::Compact},     {988, &RandomRun::Clear},
        {1000, &RandomRun::Check}};
    const size_t dice = Below(1000);
    for (const Choice& choice : kChoices)
      if (dice < choice.below) return (this->*choice.step)();
  }

  void Check() {
    // The structure is that of an index at rest.
    if (repair_ == RepairPolicy::kBackground) {
      ASSERT_TRUE(index_.Consolidate());
    }
    const Status structure = index_.CheckStructure();
    ASSERT_TRUE(structure) << structure.error().message;
    ASSERT_EQ(index_.size(), model_.size());
    ASSERT_EQ(index_.Stats().points, model_.size());
  }

 private:
  size_t Below(size_t n) { return static_cast<size_t>(random_() % n); }

  Index Create(ScalarType type) {
    const float alphas[] = {1.0f, 1.1f, 1.2f, 2.0f};
    const IndexOptions options{.dim = static_cast<uint32_t>(dim_),
                               .scalar_type = type,
                               .metric = metric_,
                               .max_degree = static_cast<uint32_t>(4 + Below(20)),
                               .build_list_size = static_cast<uint32_t>(1 + Below(60)),
                               .alpha = alphas[Below(4)],
                               .runtime = {.repair = repair_}};
    Result<Index> index = Index::Create(options);
    EXPECT_TRUE(index);
    return std::move(*index);
  }

  // Ids near both ends, small ones, and any; often one that is there already.
  ExternalId AnyId() {
    switch (Below(4)) {
      case 0: return Below(300);
      case 1: return UINT64_MAX - Below(300);
      case 2: return random_();
      default: return RowNumberId(Below(rows_.size() + 1));
    }
  }
  ExternalId RowNumberId(size_t row) const { return row < ids_.size() ? ids_[row] : 123456; }

  // One row more, often the copy of an earlier one.
  void AddRow() {
    std::vector<double> row = generator_.Row();
    if (rows_.size() > 0 && Below(5) == 0) {
      const auto values = rows_.values(Below(rows_.size()));
      row.assign(values.begin(), values.end());
    }
    rows_.Add(row);
  }
  // The last row is this id's now.
  void Remember(ExternalId id) {
    Forget(id);
    model_[id] = ids_.size();
    ids_.push_back(id);
    live_.push_back(true);
  }
  void Forget(ExternalId id) {
    const auto there = model_.find(id);
    if (there == model_.end()) return;
    live_[there->second] = false;
    model_.erase(there);
  }
  // An id that is there, where there is one.
  ExternalId PresentId() {
    if (model_.empty()) return 123456;
    const auto from = model_.lower_bound(ids_[Below(ids_.size())]);
    return (from == model_.end() ? model_.begin() : from)->first;
  }
  // Live rows by distance from the query.
  std::vector<test::Neighbor> Truth(const Rows& query) {
    auto truth = test::BruteForce(metric_, rows_, query.values(0));
    std::erase_if(truth, [&](const test::Neighbor& neighbor) { return !live_[neighbor.row]; });
    return truth;
  }
  ExternalId FreshId() {
    for (;;)
      if (const ExternalId id = AnyId(); !model_.contains(id)) return id;
  }

  void InsertNew() {
    const ExternalId id = FreshId();
    AddRow();
    const Status inserted = index_.Insert(id, rows_[rows_.size() - 1]);
    ASSERT_TRUE(inserted) << inserted.error().message;
    Remember(id);
    ASSERT_TRUE(index_.Contains(id));
    ASSERT_EQ(index_.size(), model_.size());
  }

  void InsertBatch() {
    const size_t first = rows_.size(), n = Below(20);
    std::vector<ExternalId> ids;
    for (size_t i = 0; i < n; ++i) {
      ids.push_back(FreshId());
      AddRow();
      Remember(ids.back());
    }
    const auto report =
        index_.InsertMany(ids, rows_.view().Slice(first, n), {.threads = 1 + Below(2)});
    ASSERT_TRUE(report);
    ASSERT_EQ(report->done, n);
  }

  void InsertTaken() {
    if (model_.empty()) return;
    const Status inserted = index_.Insert(PresentId(), rows_[Below(rows_.size())]);
    ASSERT_FALSE(inserted);
    ASSERT_EQ(inserted.error().code, ErrorCode::kAlreadyExists);
    ASSERT_EQ(index_.size(), model_.size());
  }

  void Delete() {
    const ExternalId id = Below(4) == 0 ? AnyId() : PresentId();
    const bool there = model_.contains(id);
    const Status deleted = index_.Delete(id);
    ASSERT_EQ(deleted.has_value(), there) << id;
    if (!there) {
      ASSERT_EQ(deleted.error().code, ErrorCode::kNotFound);
    }
    Forget(id);
    ASSERT_FALSE(index_.Contains(id));
    ASSERT_EQ(index_.size(), model_.size());
  }

  void DeleteBatch() {
    std::vector<ExternalId> ids;
    std::set<ExternalId> there;
    for (size_t n = Below(20); ids.size() < n;) {
      ids.push_back(Below(3) == 0 ? AnyId() : PresentId());
      if (model_.contains(ids.back())) there.insert(ids.back());
    }
    const auto report = index_.DeleteMany(ids, {.threads = 1 + Below(2)});
    ASSERT_TRUE(report);
    ASSERT_EQ(report->done, there.size());
    ASSERT_EQ(report->failures.size(), ids.size() - there.size());
    for (const ExternalId id : there) Forget(id);
    ASSERT_EQ(index_.size(), model_.size());
  }

  void Upsert() {
    const ExternalId id = Below(4) == 0 ? AnyId() : PresentId();
    AddRow();
    const Status upserted = index_.Upsert(id, rows_[rows_.size() - 1]);
    ASSERT_TRUE(upserted) << upserted.error().message;
    Remember(id);
    ASSERT_TRUE(index_.Contains(id));
    ASSERT_EQ(index_.size(), model_.size());
  }

  void Consolidate() {
    const Status consolidated = index_.Consolidate({.threads = 1 + Below(2)});
    ASSERT_TRUE(consolidated) << consolidated.error().message << ", policy "
                              << static_cast<int>(repair_) << ", size " << index_.size()
                              << ", pending " << index_.Stats().pending_repairs << ", degree "
                              << index_.options().max_degree;
    ASSERT_EQ(index_.Stats().pending_repairs, 0u);
    Check();
  }

  void Compact() {
    const size_t slots = index_.Stats().slots_used;
    const auto compacted = index_.Compact({.threads = 1 + Below(2)});
    ASSERT_TRUE(compacted) << compacted.error().message << ", policy " << static_cast<int>(repair_)
                           << ", size " << index_.size() << ", pending "
                           << index_.Stats().pending_repairs << ", degree "
                           << index_.options().max_degree;
    // Hardly more than the points, the start, and what a repairer in the background still reads.
    ASSERT_LE(index_.Stats().slots_used, model_.size() + 20 + index_.Stats().retired_slots)
        << "policy " << static_cast<int>(repair_) << ", before " << slots << ", retired "
        << index_.Stats().retired_slots;
    Check();
  }

  void Clear() {
    ASSERT_TRUE(index_.Clear());
    while (!model_.empty()) Forget(model_.begin()->first);
    Check();
  }

  // A query: a new vector or a stored one.
  Rows AnyQuery() {
    Rows query(rows_.type(), dim_);
    std::vector<double> row = generator_.Row();
    if (rows_.size() > 0 && Below(3) == 0) {
      const auto values = rows_.values(Below(rows_.size()));
      row.assign(values.begin(), values.end());
    }
    query.Add(row);
    return query;
  }

  // Nearest first, each id once, each known, each with its own distance.
  void ExpectSound(const Rows& query, const std::vector<Hit>& hits) {
    std::set<ExternalId> seen;
    for (size_t i = 0; i < hits.size(); ++i) {
      const auto there = model_.find(hits[i].id);
      ASSERT_NE(there, model_.end()) << hits[i].id << " is not there";
      ASSERT_TRUE(seen.insert(hits[i].id).second) << hits[i].id << " twice";
      ASSERT_LE(hits[i == 0 ? 0 : i - 1].distance, hits[i].distance);
      const auto row = rows_.values(there->second);
      ASSERT_NEAR(hits[i].distance, test::Distance(metric_, query.values(0), row),
                  test::Tolerance(metric_, query.values(0), row));
    }
  }

  void SearchAll() {
    const Rows query = AnyQuery();
    const size_t k = 1 + Below(2 * rows_.size() + 2);
    const auto hits = index_.Search(query[0], {.k = k, .search_list_size = rows_.size() + 1});
    ASSERT_TRUE(hits) << hits.error().message;
    ASSERT_EQ(hits->size(), std::min(k, model_.size()));
    ASSERT_NO_FATAL_FAILURE(ExpectSound(query, *hits));
    const auto truth = Truth(query);
    for (size_t i = 0; i < hits->size(); ++i) {
      const auto hit = rows_.values(model_[(*hits)[i].id]);
      ASSERT_NEAR((*hits)[i].distance, truth[i].distance,
                  test::Tolerance(metric_, query.values(0), hit) +
                      test::Tolerance(metric_, query.values(0), rows_.values(truth[i].row)))
          << "rank " << i;
    }
  }

  void SearchFew() {
    const Rows query = AnyQuery();
    const SearchOptions options{.k = 1 + Below(20), .search_list_size = Below(40)};
    const bool repaired = index_.Stats().pending_repairs == 0;
    const auto hits = index_.Search(query[0], options);
    ASSERT_TRUE(hits) << hits.error().message;
    // Beyond some number of deleted points on its way a search gives up.
    ASSERT_LE(hits->size(), std::min(options.k, model_.size()));
    if (repaired) {
      ASSERT_EQ(hits->size(), std::min(options.k, model_.size()));
    }
    ASSERT_NO_FATAL_FAILURE(ExpectSound(query, *hits));
  }

  void SearchRange() {
    if (model_.empty()) return;
    const Rows query = AnyQuery();
    const auto truth = Truth(query);
    const auto radius = static_cast<float>(truth[Below(truth.size())].distance);
    const auto hits =
        index_.RangeSearch(query[0], {.radius = radius, .search_list_size = rows_.size() + 1});
    ASSERT_TRUE(hits) << hits.error().message;
    ASSERT_NO_FATAL_FAILURE(ExpectSound(query, *hits));
    std::set<ExternalId> found;
    for (const Hit& hit : *hits) {
      ASSERT_LE(hit.distance, radius);
      found.insert(hit.id);
    }
    for (const test::Neighbor& neighbor : truth) {
      const double tolerance =
          test::Tolerance(metric_, query.values(0), rows_.values(neighbor.row));
      if (neighbor.distance >= radius - tolerance) break;
      ASSERT_TRUE(found.contains(ids_[neighbor.row])) << neighbor.distance << " <= " << radius;
    }
  }

  void AskContains() {
    const ExternalId id = AnyId();
    ASSERT_EQ(index_.Contains(id), model_.contains(id)) << id;
  }

  void AskGet() {
    const ExternalId id = Below(2) == 0 ? AnyId() : PresentId();
    std::vector<std::byte> copy(BytesOf(rows_.type(), dim_));
    const Status got = index_.Get(id, {copy.data(), rows_.type(), dim_});
    const auto there = model_.find(id);
    ASSERT_EQ(got.has_value(), there != model_.end()) << id;
    // Under cosine it is kept as it came, too.
    if (got) {
      ASSERT_EQ(std::memcmp(copy.data(), rows_[there->second].data(), copy.size()), 0);
    }
  }

  void AskIds() {
    const auto ids = index_.Ids();
    ASSERT_TRUE(ids);
    std::set<ExternalId> expected;
    for (const auto& [id, row] : model_) expected.insert(id);
    ASSERT_EQ(ids->size(), expected.size());
    ASSERT_EQ(std::set<ExternalId>(ids->begin(), ids->end()), expected);
  }

  void Refine() {
    ASSERT_TRUE(index_.Refine({.threads = 1 + Below(2)}));
    Check();
  }

  std::mt19937_64 random_;
  const Metric metric_;
  const RepairPolicy repair_;
  const size_t dim_;
  test::Generator generator_;
  Rows rows_;
  Index index_;
  std::map<ExternalId, size_t> model_;  // Id to row.
  std::vector<ExternalId> ids_;         // Of every row, also of those that are gone.
  std::vector<bool> live_;              // Of every row: whether it is its id's.
};

class IndexModel : public ::testing::TestWithParam<test::TypeAndMetric> {};
INSTANTIATE_TEST_SUITE_P(All, IndexModel, test::AllTypesAndMetrics(), test::NameOfCase);

TEST_P(IndexModel, AgreesWithAMapAndBruteForce) {
  const auto [type, metric] = GetParam();
  const uint64_t seed = test::Seed();
  std::cout << "SHOAL_SEED=" << seed << "\n";
  constexpr int kRuns = 6, kSteps = 300;
  for (uint64_t run = 0; run < kRuns; ++run) {
    SCOPED_TRACE("SHOAL_SEED=" + std::to_string(seed) + " run " + std::to_string(run));
    RandomRun one(type, metric, static_cast<RepairPolicy>(run % 3), seed + run);
    for (int step = 0; step < kSteps; ++step) {
      SCOPED_TRACE("step " + std::to_string(step));
      one.Step();
      if (HasFatalFailure()) return;
    }
    one.Check();
  }
}

}  // namespace
}  // namespace shoal
