// A file that a machine with pages of another size has written. LMDB asks sysconf for the size;
// this program's function stands in front of the C library's.
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "database_fixture.h"

namespace {

long page_size = 4096;

}  // namespace

extern "C" long __sysconf(int name) noexcept;  // The C library's.

// A sanitizer calls it before it is ready to be told of anything.
extern "C" __attribute__((visibility("default"), no_sanitize("thread", "address"))) long sysconf(
    int name) noexcept {
  return name == _SC_PAGESIZE ? __atomic_load_n(&page_size, __ATOMIC_RELAXED) : __sysconf(name);
}

namespace shoal {
namespace {

void SetPageSize(long bytes) { __atomic_store_n(&page_size, bytes, __ATOMIC_RELAXED); }

class DatabasePageSize : public DatabaseTest {
 protected:
  ~DatabasePageSize() override { SetPageSize(4096); }
  void Upsert(StoredIndex& index, ExternalId first, ExternalId end) {
    for (ExternalId id = first; id < end; ++id) {
      vectors_[id] = Random();
      ExpectGood(index.Upsert(id, vectors_[id]));
    }
  }
  void ExpectAll(const DatabaseSnapshot& snapshot) {
    ASSERT_EQ(snapshot.size(), vectors_.size());
    ExpectGood(snapshot.Verify());
    Vector vector(kDim);
    for (const auto& [id, expected] : vectors_) {
      ExpectGood(snapshot.Get(id, vector));
      ASSERT_EQ(vector, expected);
    }
    EXPECT_EQ(snapshot.Search(vectors_[7], {.k = 1})->at(0).id, 7u);
  }
  // From LMDB's meta page.
  long PageBytesOfFile() const {
    uint32_t bytes = 0;
    std::ifstream file(path_, std::ios::binary);
    file.seekg(40).read(reinterpret_cast<char*>(&bytes), sizeof(bytes));
    return bytes;
  }
  // Written with pages of one size; read, written to, and read again elsewhere.
  void Share(long there, long here) {
    SetPageSize(there);
    {
      Database database = Open();
      StoredIndex index = *database.CreateIndex("a", kOptions);
      Upsert(index, 0, 1000);
      ExpectGood(database.Pass());
      Upsert(index, 500, 600);
    }
    EXPECT_EQ(PageBytesOfFile(), std::min(there, 32768L));
    SetPageSize(here);
    ExpectAll(Snapshot());
    {
      Database database = Open();
      StoredIndex index = *database.OpenIndex("a");
      ExpectGood(index.live().CheckStructure());
      for (int round = 0; round < 3; ++round) {
        Upsert(index, 0, 1000);
        ExpectAll(Snapshot());
        ExpectGood(database.Pass());
      }
      ExpectAll(Snapshot());
    }
    SetPageSize(there);
    ExpectAll(Snapshot());
  }

  std::map<ExternalId, Vector> vectors_;
};

TEST_F(DatabasePageSize, AFileWithLargePagesIsReadAndWrittenByAMachineWithSmallOnes) {
  Share(16384, 4096);
}
TEST_F(DatabasePageSize, AFileWithSmallPagesIsReadAndWrittenByAMachineWithLargeOnes) {
  Share(4096, 16384);
}
// LMDB's largest page has 32 KB.
TEST_F(DatabasePageSize, AFileWithTheLargestPagesIsReadAndWrittenByAMachineWithSmallOnes) {
  Share(65536, 4096);
}
TEST_F(DatabasePageSize, AFileWithSmallPagesIsReadAndWrittenByAMachineWithTheLargestOnes) {
  Share(4096, 65536);
}

}  // namespace
}  // namespace shoal
