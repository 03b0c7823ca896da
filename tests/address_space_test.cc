// Small indices under a limit of address space (ulimit -v). Sanitizers need more of it than there
// is.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "shoal/index.h"
#include "test_data.h"

namespace shoal {
namespace {

// What a child process with so much address space finds: the step that failed, or 0.
int StepThatFails(uint64_t bytes) {
  const rlimit limit = {.rlim_cur = bytes, .rlim_max = bytes};
  if (setrlimit(RLIMIT_AS, &limit) != 0) return 1;
  constexpr uint32_t kDim = 32;
  constexpr size_t kRows = 5000;
  const test::Rows rows = test::Generator(ScalarType::kFloat32, {.dim = kDim}, 3).Many(kRows);
  std::vector<ExternalId> ids(kRows);
  for (size_t i = 0; i < kRows; ++i) ids[i] = i;
  std::vector<Index> indices;
  for (int i = 0; i < 4; ++i) {
    auto index = Index::Create({.dim = kDim, .max_degree = 16, .build_list_size = 32});
    if (!index) return 2;
    indices.push_back(std::move(*index));
  }
  for (Index& index : indices) {
    const auto report = index.InsertMany(ids, rows.view(), {.threads = 2});
    if (!report || report->done != kRows) return 3;
    const auto hits = index.Search(rows[7], {.k = 3});
    if (!hits || (*hits)[0].id != 7) return 4;
  }
  void* const rest = std::malloc(bytes / 4);  // The process is left some.
  const int step = rest == nullptr ? 5 : 0;
  std::free(rest);
  return step;
}

TEST(AddressSpace, OfAQuarterOfAGigabyteHoldsSmallIndicesAndTheirProcess) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer takes it all";
#endif
  for (const uint64_t megabytes : {900, 256}) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) _exit(StepThatFails(megabytes << 20));
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0) << megabytes << " MB";
  }
}

}  // namespace
}  // namespace shoal
