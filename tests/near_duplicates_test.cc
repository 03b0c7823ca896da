// Groups of near duplicates larger than a list: one row, and copies of it with a little noise. Each
// copy is nearer to the row than to the other copies, so the row would hide them all from each
// other. (milvus #39992, #31434, lucene #13611.)
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "shoal/index.h"
#include "shoal/index_view.h"
#include "tests/print_types.h"
#include "tests/temp_folder.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

constexpr size_t kDim = 128;
// Four times the distance between two copies, and far below that of two other rows.
constexpr float kRadius = 4 * 2 * kDim * .02f * .02f;

// Rows [0, others) are Gaussian. Of those, the first `groups` have `copies` copies each, group by
// group.
struct Groups {
  size_t others, groups, copies;
  float noise = .02f;

  size_t size() const { return others + groups * copies; }
  size_t GroupOf(size_t row) const { return row < others ? row : (row - others) / copies; }
};

class NearDuplicates : public ::testing::Test {
 protected:
  explicit NearDuplicates(uint64_t seed = 5) : random_(seed) {}

  std::vector<float> Rows(const Groups& set) {
    std::normal_distribution<float> normal;
    std::vector<float> rows(set.size() * kDim);
    for (size_t i = 0; i < rows.size(); ++i) {
      const size_t row = i / kDim;
      rows[i] = row < set.others
                    ? normal(random_)
                    : rows[set.GroupOf(row) * kDim + i % kDim] + set.noise * normal(random_);
    }
    return rows;
  }
  static VectorView Row(const std::vector<float>& rows, size_t i) {
    return std::span(rows).subspan(i * kDim, kDim);
  }
  static void Normalize(std::span<float> row) {
    const float norm = std::sqrt(std::inner_product(row.begin(), row.end(), row.begin(), 0.0f));
    for (float& x : row) x /= norm;
  }
  std::vector<ExternalId> Order(const Groups& set, bool shuffled) {
    std::vector<ExternalId> ids = test::Iota(set.size());
    if (shuffled) std::shuffle(ids.begin(), ids.end(), random_);
    return ids;
  }

  // Shares: of a group within the radius of its members, and of members that find themselves first.
  struct Found {
    double of_group = 0, itself = 0;
  };
  static Found Measure(const Index& index, const std::vector<float>& rows, const Groups& set) {
    Found found;
    for (size_t i = set.others; i < set.size(); ++i) {
      const auto within = index.RangeSearch(Row(rows, i), {.radius = kRadius});
      const auto in_group = std::count_if(within->begin(), within->end(), [&](const Hit& hit) {
        return set.GroupOf(hit.id) == set.GroupOf(i);
      });
      found.of_group += static_cast<double>(in_group) / static_cast<double>(set.copies + 1);
      const auto hits = index.Search(Row(rows, i), {.k = 1});
      found.itself += hits->front().id == i ? 1 : 0;
    }
    const auto members = static_cast<double>(set.size() - set.others);
    return {found.of_group / members, found.itself / members};
  }
  static void ExpectFound(const Index& index, const std::vector<float>& rows, const Groups& set) {
    const Found found = Measure(index, rows, set);
    EXPECT_GE(found.of_group, .98);
    if (set.noise == 0) return;  // Members cannot be told from each other.
    EXPECT_GE(found.itself, .99);
  }

  std::mt19937_64 random_;
};

TEST_F(NearDuplicates, FindTheirGroupAndThemselvesWhateverItsSize) {
  for (const size_t copies : {50, 100, 200, 1000}) {
    for (const bool shuffled : {false, true}) {
      SCOPED_TRACE(testing::Message() << copies << (shuffled ? " shuffled" : " group by group"));
      const Groups set{.others = 3000, .groups = 1, .copies = copies};
      const std::vector<float> rows = Rows(set);
      Index index = std::move(*Index::Create({.dim = kDim, .code = Code::kFull}));
      for (const ExternalId id : Order(set, shuffled)) ASSERT_TRUE(index.Insert(id, Row(rows, id)));
      ExpectFound(index, rows, set);
    }
  }
}

// Codes of 4 bits do not tell copies apart: the vectors then choose edges and hits.
TEST_F(NearDuplicates, AreFoundOnCodesToo) {
  for (const Metric metric : {Metric::kL2, Metric::kCosine, Metric::kInnerProduct}) {
    SCOPED_TRACE(static_cast<int>(metric));
    const Groups set{.others = 2000, .groups = 1, .copies = 500};
    std::vector<float> rows = Rows(set);
    for (size_t i = 0; metric == Metric::kInnerProduct && i < set.size(); ++i)
      Normalize(std::span(rows).subspan(i * kDim, kDim));
    Index index = std::move(*Index::Create({.dim = kDim, .metric = metric, .code = Code::kRq4}));
    for (const ExternalId id : Order(set, true)) ASSERT_TRUE(index.Insert(id, Row(rows, id)));
    TempFolder folder;
    ASSERT_TRUE(index.Save(folder / "snapshot"));
    const auto view = IndexView::Open(folder / "snapshot");
    ASSERT_TRUE(view) << view.error().message;
    size_t itself = 0, itself_in_view = 0;
    for (size_t i = set.others; i < set.size(); ++i) {
      itself += index.Search(Row(rows, i), {.k = 1})->front().id == i ? 1 : 0;
      itself_in_view += view->Search(Row(rows, i), {.k = 1})->front().id == i ? 1 : 0;
    }
    EXPECT_GE(itself, set.copies * 98 / 100);
    EXPECT_GE(itself_in_view, set.copies * 98 / 100);
  }
}

TEST_F(NearDuplicates, OfManyGroupsAreFoundInsertedLoadedAndReplaced) {
  const Groups set{.others = 2000, .groups = 20, .copies = 100};
  for (const bool shuffled : {false, true}) {
    SCOPED_TRACE(shuffled ? "shuffled" : "group by group");
    const std::vector<float> rows = Rows(set);
    Index index = std::move(*Index::Create({.dim = kDim, .code = Code::kFull}));
    const std::vector<ExternalId> order = Order(set, shuffled);
    for (const ExternalId id : order) ASSERT_TRUE(index.Insert(id, Row(rows, id)));
    ExpectFound(index, rows, set);
    TempFolder folder;
    ASSERT_TRUE(index.Save(folder / "snapshot"));
    const auto loaded = Index::Load(folder / "snapshot");
    ASSERT_TRUE(loaded) << loaded.error().message;
    ExpectFound(*loaded, rows, set);
    for (const ExternalId id : order) {
      ASSERT_TRUE(index.Delete(id));
      ASSERT_TRUE(index.Insert(id, Row(rows, id)));
    }
    ExpectFound(index, rows, set);
    EXPECT_TRUE(index.CheckStructure());
  }
}

TEST_F(NearDuplicates, ThatAreEqualAreFoundToo) {
  const Groups set{.others = 3000, .groups = 2, .copies = 300, .noise = 0};
  for (const bool shuffled : {false, true}) {
    const std::vector<float> rows = Rows(set);
    Index index = std::move(*Index::Create({.dim = kDim, .code = Code::kFull}));
    for (const ExternalId id : Order(set, shuffled)) ASSERT_TRUE(index.Insert(id, Row(rows, id)));
    ExpectFound(index, rows, set);
  }
}

}  // namespace
}  // namespace shoal
