// Privacy: what was deleted is nowhere in what an index writes. (weaviate #1813.)
#include <gtest/gtest.h>

#include <cstring>

#include "shoal/diskann_files.h"
#include "shoal/index.h"
#include "tests/print_types.h"
#include "tests/temp_folder.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Rows;

constexpr size_t kDim = 120, kRows = 400;

class DeletedVector : public ::testing::TestWithParam<test::TypeAndMetric> {
 protected:
  Index Make() const {
    return std::move(*Index::Create({.dim = kDim,
                                     .scalar_type = std::get<0>(GetParam()),
                                     .metric = std::get<1>(GetParam()),
                                     .max_degree = 8,
                                     .build_list_size = 20}));
  }
  Rows Some() const {
    return test::Generator(std::get<0>(GetParam()), {.dim = kDim}, 5).Many(kRows);
  }

  // Of rows [first, last), how many stand in any of the index's files.
  static size_t Written(const Index& index, const Rows& rows, size_t first, size_t last) {
    TempFolder folder;
    std::vector<std::string> files{ReadBytes(SaveTo(index, folder / "snapshot"))};
    if (index.size() > 0 && rows.type() != ScalarType::kFloat16) {
      for (const bool dynamic : {false, true}) {
        const Status saved = SaveDiskann(index, folder / "d", {.dynamic = dynamic});
        EXPECT_TRUE(saved) << saved.error().message;
        files.push_back(ReadBytes(folder / "d.data"));
      }
    }
    size_t written = 0;
    for (size_t i = first; i < last; ++i) {
      const std::string_view row(static_cast<const char*>(rows[i].data()), rows[i].bytes());
      for (const std::string& file : files) written += file.find(row) == std::string::npos ? 0 : 1;
    }
    return written;
  }
  static std::filesystem::path SaveTo(const Index& index, const std::filesystem::path& path) {
    const Status saved = index.Save(path);
    EXPECT_TRUE(saved) << saved.error().message;
    return path;
  }
};

INSTANTIATE_TEST_SUITE_P(Every, DeletedVector, test::AllTypesAndMetrics(), test::NameOfCase);

TEST_P(DeletedVector, IsInNoFileAfterwards) {
  const Rows rows = Some();
  const std::vector<ExternalId> ids = test::Iota(kRows, 1);
  Index one_by_one = Make(), at_once = Make();
  for (size_t i = 0; i < kRows; ++i) ASSERT_TRUE(one_by_one.Insert(ids[i], rows[i]));
  ASSERT_EQ(at_once.InsertMany(ids, rows.view())->done, kRows);
  for (Index* index : {&one_by_one, &at_once}) {
    EXPECT_GE(Written(*index, rows, 0, kRows), kRows) << "the test finds what is there";
    // The first half, then the rest, each without and with a Compact.
    ASSERT_EQ(index->DeleteMany(std::span(ids).first(kRows / 2))->done, kRows / 2);
    EXPECT_EQ(Written(*index, rows, 0, kRows / 2), 0u);
    ASSERT_TRUE(index->Compact());
    EXPECT_EQ(Written(*index, rows, 0, kRows / 2), 0u);
    ASSERT_TRUE(index->Clear());
    EXPECT_EQ(Written(*index, rows, 0, kRows), 0u);
    ASSERT_TRUE(index->Compact());
    EXPECT_EQ(Written(*index, rows, 0, kRows), 0u);
  }
}

}  // namespace
}  // namespace shoal
