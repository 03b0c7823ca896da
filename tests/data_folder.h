// Where tests of real data find it. A program that includes this is named in tests/CMakeLists.txt,
// which defines SHOAL_SOURCE_DIR: __FILE__ is relative where ccache has a base_dir.
#pragma once

#include <cstdlib>
#include <filesystem>

namespace shoal::test {

// $SHOAL_DATA, or shared/data beside the source tree.
inline std::filesystem::path DataFolder() {
  if (const char* data = std::getenv("SHOAL_DATA")) return data;
  return std::filesystem::path(SHOAL_SOURCE_DIR).parent_path() / "shared" / "data";
}

}  // namespace shoal::test
