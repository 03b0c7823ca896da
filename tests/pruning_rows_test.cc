// A graph that is searched by coarse rows and chooses its edges by others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/check.h"
#include "codec/make_codec.h"
#include "graph/graph.h"
#include "point_rows.h"
#include "store/neighbors.h"
#include "store/slot_table.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Rows;

constexpr uint32_t kDim = 4;
constexpr uint32_t kDegree = 8;
constexpr size_t kPoints = 120;

// Slots 1 to n are the rows; lists are long enough for every search to find all points.
class Built {
 public:
  Built(const Rows& vectors, Metric metric, Code traversal, Code pruning)
      : options_{.dim = kDim, .metric = metric, .max_degree = kDegree, .build_list_size = 400},
        rows_(MakeCodec(traversal, ScalarType::kFloat32, metric, kDim),
              MakeCodec(pruning, ScalarType::kFloat32, metric, kDim)) {
    SHOAL_CHECK(slots_.Init() && neighbors_.Init());
    OwnedSlot start = *slots_.Acquire();
    rows_.EncodeOrigin(start.id());
    neighbors_.ResetStart(start.id());
    graph_.set_start(std::move(start).Freeze());
    for (size_t i = 0; i < vectors.size(); ++i) Insert(vectors[i]);
  }
  void Insert(VectorView vector) {
    OwnedSlot slot = *slots_.Acquire();
    rows_.Encode(vector, slot.id());
    neighbors_.ResetRow(slot.id());
    auto guard = epochs_.Pin();
    Operation op(guard, rows_.buffer_bytes());
    const auto met = graph_.LinkOut(slot.id(), op);
    ASSERT_TRUE(met);
    ASSERT_TRUE(graph_.LinkIn(std::move(slot).Publish(), *met, op));
  }
  void Delete(SlotId slot) {
    auto guard = epochs_.Pin();
    Operation op(guard, rows_.buffer_bytes());
    ASSERT_TRUE(neighbors_.MarkDeleted(slots_, slot));
    ASSERT_EQ(graph_.Repair(slot, op), Repaired::kDone);
    ASSERT_TRUE(slots_.Retire(slot, guard));
  }
  std::vector<std::vector<SlotId>> Lists() const {
    std::vector<std::vector<SlotId>> lists;
    for (SlotId slot = 0; slot <= kPoints; ++slot) {
      auto& list = lists.emplace_back(kDegree);
      list.resize(neighbors_.Copy(slot, list.data()));
      std::sort(list.begin(), list.end());
    }
    return lists;
  }

 private:
  static std::vector<Column*> Columns(const PointRows& rows, NeighborLists& neighbors) {
    std::vector<Column*> columns{&neighbors.rows(), &neighbors.meta()};
    for (const auto& part : rows.parts()) columns.push_back(&part->features.column());
    return columns;
  }

  const IndexOptions options_;
  PointRows rows_;
  MemoryBudget budget_{0};
  EpochRegistry epochs_;
  NeighborLists neighbors_{budget_, slots_, kDegree};
  SlotTable slots_{budget_, epochs_, Columns(rows_, neighbors_)};
  Graph graph_{options_, {rows_.traversal(), rows_.ranking()}, slots_, neighbors_};
};

// Far from the origin float16 has steps as large as the points are apart.
Rows CloseTogether() {
  const Rows near =
      test::Generator(ScalarType::kFloat32, {.dim = kDim, .clusters = 0}, 3).Many(kPoints);
  Rows rows(ScalarType::kFloat32, kDim);
  for (size_t i = 0; i < near.size(); ++i) {
    std::vector<double> row;
    for (const float x : near.values(i)) row.push_back(1000 + 0.4 * x);
    rows.Add(row);
  }
  return rows;
}

TEST(PruningRows, DecideWhichEdgesThereAreWhateverRowsSearchesTraverse) {
  const Rows rows = CloseTogether();
  for (const Metric metric : {Metric::kL2, Metric::kInnerProduct}) {
    Built exact(rows, metric, Code::kFull, Code::kFull);
    Built mixed(rows, metric, Code::kFloat16, Code::kFull);
    Built coarse(rows, metric, Code::kFloat16, Code::kFloat16);
    EXPECT_EQ(mixed.Lists(), exact.Lists());
    EXPECT_NE(coarse.Lists(), exact.Lists());
    for (SlotId slot = 3; slot < kPoints; slot += 5)
      for (Built* each : {&exact, &mixed}) each->Delete(slot);
    EXPECT_EQ(mixed.Lists(), exact.Lists()) << "after repairs";
  }
}

}  // namespace
}  // namespace shoal
