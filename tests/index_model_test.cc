// Random operations on an index, against a map and brute force. Every assertion is a promise, none
// a likelihood: with L >= N a search sees every point that can be reached, and every point can be.
#include <gtest/gtest.h>

#include <cmath>
#include <iostream>
#include <map>
#include <set>

#include "shoal/index.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Rows;

class RandomRun {
 public:
  RandomRun(ScalarType type, Metric metric, uint64_t seed)
      : random_(seed),
        metric_(metric),
        dim_(1 + Below(40)),
        generator_(type, {.dim = dim_, .clusters = Below(6), .norm_sigma = 0.2}, random_()),
        rows_(type, dim_),
        index_(Create(type)) {}

  void Step() {
    const size_t dice = Below(100);
    if (dice < 45) return InsertNew();
    if (dice < 50) return InsertBatch();
    if (dice < 55) return InsertDuplicate();
    if (dice < 70) return SearchAll();
    if (dice < 82) return SearchFew();
    if (dice < 90) return SearchRange();
    if (dice < 96) return AskContains();
    if (dice < 98) return Refine();
    Check();
  }

  void Check() {
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
                               .alpha = alphas[Below(4)]};
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
  void Remember(ExternalId id) {
    model_[id] = ids_.size();
    ids_.push_back(id);
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
    ASSERT_EQ(report->inserted, n);
  }

  void InsertDuplicate() {
    if (ids_.empty()) return;
    const Status inserted = index_.Insert(ids_[Below(ids_.size())], rows_[Below(rows_.size())]);
    ASSERT_FALSE(inserted);
    ASSERT_EQ(inserted.error().code, ErrorCode::kAlreadyExists);
    ASSERT_EQ(index_.size(), model_.size());
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
      ASSERT_NE(there, model_.end()) << hits[i].id;
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
    ASSERT_TRUE(hits);
    ASSERT_EQ(hits->size(), std::min(k, rows_.size()));
    ASSERT_NO_FATAL_FAILURE(ExpectSound(query, *hits));
    const auto truth = test::BruteForce(metric_, rows_, query.values(0));
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
    const auto hits = index_.Search(query[0], options);
    ASSERT_TRUE(hits);
    ASSERT_EQ(hits->size(), std::min(options.k, rows_.size()));
    ASSERT_NO_FATAL_FAILURE(ExpectSound(query, *hits));
  }

  void SearchRange() {
    if (rows_.size() == 0) return;
    const Rows query = AnyQuery();
    const auto truth = test::BruteForce(metric_, rows_, query.values(0));
    const auto radius = static_cast<float>(truth[Below(truth.size())].distance);
    const auto hits =
        index_.RangeSearch(query[0], {.radius = radius, .search_list_size = rows_.size() + 1});
    ASSERT_TRUE(hits);
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

  void Refine() {
    ASSERT_TRUE(index_.Refine({.threads = 1 + Below(2)}));
    Check();
  }

  std::mt19937_64 random_;
  const Metric metric_;
  const size_t dim_;
  test::Generator generator_;
  Rows rows_;
  Index index_;
  std::map<ExternalId, size_t> model_;  // Id to row.
  std::vector<ExternalId> ids_;         // Of every row.
};

class IndexModel : public ::testing::TestWithParam<test::TypeAndMetric> {};
INSTANTIATE_TEST_SUITE_P(All, IndexModel, test::AllTypesAndMetrics(), test::NameOfCase);

TEST_P(IndexModel, AgreesWithAMapAndBruteForce) {
  const auto [type, metric] = GetParam();
  const uint64_t seed = test::Seed();
  std::cout << "SHOAL_SEED=" << seed << "\n";
  constexpr int kRuns = 3, kSteps = 250;
  for (uint64_t run = 0; run < kRuns; ++run) {
    SCOPED_TRACE("SHOAL_SEED=" + std::to_string(seed) + " run " + std::to_string(run));
    RandomRun one(type, metric, seed + run);
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
