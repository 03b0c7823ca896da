// The files of every released format version, as tests/baselines/vector_sets.txt has them: they are
// loaded for ever, and today's version is written byte for byte. A line: version, kind, hex.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <map>
#include <string>

#include "bindings/valkey/core/serialize.h"
#include "vset_data.h"

namespace shoal::vset {
namespace {

// One set of every kind, by the kind's name.
std::map<std::string, std::unique_ptr<VectorSet>> SetsOfAllKinds() {
  const std::map<std::string, EncodingOptions> kinds = {
      {"f32", {.dim = 5, .quantization = Quantization::kFloat32}},
      {"int8", {.dim = 5, .quantization = Quantization::kInt8}},
      {"bin", {.dim = 5, .quantization = Quantization::kBinary}},
      {"reduced", {.dim = 3, .input_dim = 5, .quantization = Quantization::kInt8}},
      {"l2", {.dim = 5, .quantization = Quantization::kFloat32, .similarity = Similarity::kL2}},
      {"ip",
       {.dim = 5, .quantization = Quantization::kFloat32, .similarity = Similarity::kInnerProduct}},
  };
  std::map<std::string, std::unique_ptr<VectorSet>> sets;
  for (const auto& [kind, encoding] : kinds) {
    std::unique_ptr<VectorSet>& set = sets[kind];
    set = NewSet(encoding);
    AddTo(*set, "apple", {1, 2, 3, 4, 5}, R"({"x":1})");
    AddTo(*set, std::string("b\0c", 3), {-1, 0.25f, 0, 0, 0.125f});
    AddTo(*set, "", {0, 0, 0, 0, 0}, "x");
  }
  return sets;
}

std::string Saved(const VectorSet& set) {
  std::string bytes;
  EXPECT_TRUE(Save(set, [&](std::span<const std::byte> chunk) {
    bytes.append(reinterpret_cast<const char*>(chunk.data()), chunk.size());
    return true;
  }));
  return bytes;
}

Result<std::unique_ptr<VectorSet>> Loaded(const std::string& bytes) {
  size_t at = 0;
  return Load([&](std::span<std::byte> wanted) {
    const size_t n = std::min(wanted.size(), bytes.size() - at);
    std::memcpy(wanted.data(), bytes.data() + at, n);
    at += n;
    return n;
  });
}

std::string HexOf(const std::string& bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const char c : bytes)
    hex.append({kDigits[static_cast<uint8_t>(c) >> 4], kDigits[static_cast<uint8_t>(c) & 15]});
  return hex;
}
std::string BytesOfHex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

TEST(VectorSetGolden, FilesOfEveryVersionAreLoadedAndThisVersionsAreWritten) {
  auto sets = SetsOfAllKinds();
  std::ifstream file(SHOAL_BASELINES "/vector_sets.txt");
  ASSERT_TRUE(file);
  size_t current = 0;
  uint32_t version = 0;
  for (std::string kind, hex; file >> version >> kind >> hex;) {
    ASSERT_TRUE(sets.contains(kind)) << kind;
    const auto loaded = Loaded(BytesOfHex(hex));
    ASSERT_TRUE(loaded) << kind << " of version " << version << ": " << loaded.error().message;
    EXPECT_EQ(DigestsOf(**loaded), DigestsOf(*sets[kind])) << kind << " of version " << version;
    EXPECT_EQ((*loaded)->options().encoding, sets[kind]->options().encoding);
    if (version != kFormatVersion) continue;
    ++current;
    EXPECT_EQ(HexOf(Saved(*sets[kind])), hex) << kind;
  }
  EXPECT_EQ(current, sets.size()) << "A line for each kind of this version:\n"
                                  <<
      [&] {
        std::string lines;
        for (const auto& [kind, set] : sets)
          lines += std::to_string(kFormatVersion) + " " + kind + " " + HexOf(Saved(*set)) + "\n";
        return lines;
      }();
}

}  // namespace
}  // namespace shoal::vset
