// libFuzzer on databases: an input is a byte, then edits of 8 bytes each, of a whole file's blocks,
// whose checksums are made right. A file that is damaged so is opened, searched and verified; where
// the byte is odd, written to, which takes longer.
//
//   cmake --preset fuzz && cmake --build --preset fuzz
//   build-fuzz/tests/database_fuzz -max_total_time=60 -max_len=65 -len_control=0
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "damaged_database.h"

namespace {

using shoal::test::DatabaseBytes;

struct Fixture {
  Fixture() : bytes(Make()) {}
  ~Fixture() { std::filesystem::remove_all(folder); }
  std::string Make() {
    std::filesystem::remove_all(folder);
    std::filesystem::create_directory(folder);
    return shoal::test::MakeDatabase(folder);
  }

  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("shoal_fuzz_" + std::to_string(getpid()));
  const DatabaseBytes bytes;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Fixture fixture;
  constexpr size_t kEdit = 8;
  if (size < 1 + kEdit) return -1;  // Not for the corpus.
  const bool writes = *data++ % 2 != 0;
  --size;
  std::vector<DatabaseBytes::Edit> edits;
  for (; size >= kEdit; data += kEdit, size -= kEdit) {
    uint16_t block = 0, word = 0;
    uint32_t value = 0;
    std::memcpy(&block, data, sizeof(block));
    std::memcpy(&word, data + 2, sizeof(word));
    std::memcpy(&value, data + 4, sizeof(value));
    edits.push_back({block, word, value});
  }
  std::mt19937 random(1);
  shoal::test::WriteDatabase(fixture.folder / "damaged.db", fixture.bytes.With(edits));
  (void)shoal::test::UseDatabase(fixture.folder / "damaged.db", random, writes);
  return 0;
}
