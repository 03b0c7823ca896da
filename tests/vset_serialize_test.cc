// Vector sets as bytes: what is saved is loaded; what is damaged is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstring>
#include <random>
#include <string>

#include "bindings/valkey/core/serialize.h"
#include "vset_data.h"

namespace shoal::vset {
namespace {

using testing::HasSubstr;

std::string Saved(const VectorSet& set) {
  std::string bytes;
  EXPECT_TRUE(Save(set, [&](std::span<const std::byte> chunk) {
    bytes.append(reinterpret_cast<const char*>(chunk.data()), chunk.size());
    return true;
  }));
  return bytes;
}

// In chunks of at most so many bytes.
Result<std::unique_ptr<VectorSet>> Loaded(const std::string& bytes, const LoadOptions& options = {},
                                          size_t chunk = SIZE_MAX) {
  size_t at = 0;
  return Load(
      [&](std::span<std::byte> wanted) {
        const size_t n = std::min({wanted.size(), bytes.size() - at, chunk});
        std::memcpy(wanted.data(), bytes.data() + at, n);
        at += n;
        return n;
      },
      options);
}

std::string ErrorOf(const std::string& bytes, const LoadOptions& options = {}) {
  const auto loaded = Loaded(bytes, options);
  return loaded ? "" : loaded.error().message;
}

std::unique_ptr<VectorSet> SmallSet(Quantization quantization) {
  auto set = NewSet({.dim = 5, .quantization = quantization});
  AddTo(*set, "a", {1, 2, 3, 4, 5}, R"({"x":1})");
  AddTo(*set, std::string("b\0c", 3), {-1, 0, 0, 0, 1e-20f});
  AddTo(*set, "", {0, 0, 0, 0, 0}, "x");
  return set;
}

TEST(VectorSetFile, HasEveryNameVectorAttributeAndOption) {
  for (const Quantization quantization : kQuantizations) {
    const auto set = SmallSet(quantization);
    for (const size_t chunk : {size_t{1}, size_t{7}, SIZE_MAX}) {
      const auto loaded = Loaded(Saved(*set), {}, chunk);
      ASSERT_TRUE(loaded) << loaded.error().message;
      EXPECT_EQ(DigestsOf(**loaded), DigestsOf(*set));
      EXPECT_EQ((*loaded)->options().encoding, set->options().encoding);
      EXPECT_EQ((*loaded)->options().links, set->options().links);
      EXPECT_EQ((*loaded)->options().build_ef, set->options().build_ef);
      EXPECT_EQ(Saved(**loaded), Saved(*set));
    }
  }
}

TEST(VectorSetFile, OfALinkedSetIsThatOfItsElements) {
  auto linked = ClusteredSet({.dim = 100, .input_dim = 200}, 1500);
  auto added = NewSet({.dim = 100, .input_dim = 200});
  for (uint32_t i = 1500; i-- > 0;) {
    AddTo(*added, std::to_string(i), ClusteredVector(200, i), R"({"i":)" + std::to_string(i) + "}");
    if (i % 3 != 0) continue;
    EXPECT_TRUE(linked->Remove(std::to_string(i)));
    EXPECT_TRUE(added->Remove(std::to_string(i)));
  }
  const std::string bytes = Saved(*linked);
  EXPECT_EQ(bytes, Saved(*added));
  EXPECT_GT(bytes.size(), size_t{1000} * 100);
  const auto loaded = Loaded(bytes, {.threads = 2});
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ((*loaded)->Unlinked(), 0u);
  EXPECT_EQ(NamesOf(SearchIn(**loaded, ClusteredVector(200, 70)))[0], "70");
  EXPECT_EQ((*Loaded(bytes))->Unlinked(), 1000u);
}

TEST(VectorSetFile, IsNotCalledWrittenWhenTheSinkFails) {
  const auto set = SmallSet(Quantization::kInt8);
  int calls = 0;
  const Status saved = Save(*set, [&](std::span<const std::byte>) { return ++calls != 2; });
  EXPECT_EQ(saved.error().code, ErrorCode::kIo);
  EXPECT_EQ(calls, 2);
}

TEST(VectorSetFile, CutAnywhereOrWithMoreBehindIsRefused) {
  const std::string bytes = Saved(*SmallSet(Quantization::kInt8));
  for (size_t n = 0; n < bytes.size(); ++n)
    EXPECT_NE(ErrorOf(bytes.substr(0, n)), "") << n << " bytes of " << bytes.size();
  EXPECT_THAT(ErrorOf(bytes + "x"), HasSubstr("nothing behind"));
}

TEST(VectorSetFile, WithAnyByteChangedIsRefused) {
  const std::string bytes = Saved(*SmallSet(Quantization::kFloat32));
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string changed = bytes;
    changed[i] = static_cast<char>(changed[i] ^ 0x10);
    EXPECT_NE(ErrorOf(changed), "") << "byte " << i;
  }
}

TEST(VectorSetFile, OfMoreElementsThanAreAllowedIsRefused) {
  const auto loaded = Loaded(Saved(*SmallSet(Quantization::kInt8)), {.max_elements = 2});
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, ErrorCode::kOutOfMemory);
}

uint64_t ChecksumOf(const std::string& bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }
uint64_t ChainOf(uint64_t chain, uint64_t checksum) {
  return XXH3_64bits_withSeed(&checksum, sizeof(checksum), chain);
}

// The sections of a file, to be changed and put together with checksums that fit.
struct Section {
  uint32_t tag = 0;
  uint32_t flags = 1;
  std::string payload;
};

uint32_t Tag(const char* name) {
  uint32_t tag = 0;
  std::memcpy(&tag, name, sizeof(tag));
  return tag;
}

std::vector<Section> SectionsOf(const std::string& bytes) {
  std::vector<Section> sections;
  for (size_t at = 12; at < bytes.size();) {
    Section section;
    uint64_t size = 0;
    std::memcpy(&section.tag, &bytes[at], 4);
    std::memcpy(&section.flags, &bytes[at + 4], 4);
    std::memcpy(&size, &bytes[at + 8], 8);
    section.payload = bytes.substr(at + 16, size);
    sections.push_back(section);
    at += 16 + size + 8;
  }
  return sections;
}

template <class T>
void Append(std::string& bytes, const T& value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

std::string FileOf(const std::vector<Section>& sections) {
  std::string bytes("SHOALVS\0\1\0\0\0", 12);
  uint64_t chain = 0;
  for (const Section& section : sections) {
    std::string made;
    Append(made, section.tag);
    Append(made, section.flags);
    Append(made, uint64_t{section.payload.size()});
    made += section.payload;
    if (section.tag == Tag("DONE") && section.payload.size() == 16)
      std::memcpy(&made[16 + 8], &chain, sizeof(chain));
    const uint64_t checksum = ChecksumOf(made);
    chain = ChainOf(chain, checksum);
    Append(made, checksum);
    bytes += made;
  }
  return bytes;
}

TEST(VectorSetFile, IsReadSectionBySection) {
  const std::string bytes = Saved(*SmallSet(Quantization::kInt8));
  const auto sections = SectionsOf(bytes);
  ASSERT_EQ(sections.size(), 3u);
  EXPECT_EQ(FileOf(sections), bytes);
  auto more = sections;
  more.insert(more.begin() + 2, {Tag("LATE"), 0, "what this version does not know"});
  EXPECT_EQ(ErrorOf(FileOf(more)), "");
  more[2].flags = 1;
  EXPECT_THAT(ErrorOf(FileOf(more)), HasSubstr("LATE is unknown and required"));
  more[2] = sections[0];
  EXPECT_THAT(ErrorOf(FileOf(more)), HasSubstr("CONF expected first and once"));
  more = {sections[1], sections[0], sections[2]};
  EXPECT_THAT(ErrorOf(FileOf(more)), HasSubstr("CONF expected first and once"));
  more = {sections[0], sections[1], sections[1], sections[2]};
  EXPECT_THAT(ErrorOf(FileOf(more)), HasSubstr("there already"));
  more = {sections[0], sections[2]};
  EXPECT_THAT(ErrorOf(FileOf(more)), HasSubstr("3 expected, found 0"));
}

TEST(VectorSetFile, WithFieldsOutOfRangeAndGoodChecksumsIsRefused) {
  const auto sections = SectionsOf(Saved(*SmallSet(Quantization::kInt8)));
  const auto with = [&](size_t section, size_t offset, auto value) {
    auto changed = sections;
    std::memcpy(&changed[section].payload[offset], &value, sizeof(value));
    return ErrorOf(FileOf(changed));
  };
  EXPECT_THAT(with(0, 0, uint32_t{0}), HasSubstr("dim"));
  EXPECT_THAT(with(0, 0, uint32_t{0xffffffff}), HasSubstr("dim"));
  EXPECT_THAT(with(0, 4, uint32_t{4}), HasSubstr("input_dim"));
  EXPECT_THAT(with(0, 8, uint32_t{3}), HasSubstr("quantization"));
  EXPECT_THAT(with(0, 8, uint32_t{256}), HasSubstr("quantization"));
  EXPECT_THAT(with(0, 12, uint32_t{1}), HasSubstr("similarity"));
  EXPECT_THAT(with(0, 16, uint32_t{0}), HasSubstr("links"));
  EXPECT_THAT(with(0, 20, uint32_t{0}), HasSubstr("build_ef"));
  EXPECT_THAT(with(0, 24, uint64_t{0}), HasSubstr("elements"));
  EXPECT_THAT(with(0, 24, uint64_t{2}), HasSubstr("no more were announced"));
  EXPECT_THAT(with(0, 24, uint64_t{4}), HasSubstr("4 expected, found 3"));
  EXPECT_THAT(with(0, 24, ~uint64_t{0}), HasSubstr("at most"));
  EXPECT_THAT(with(1, 0, uint32_t{0xffffffff}), HasSubstr("longer than its section"));
  EXPECT_THAT(with(1, 4, uint32_t{0x7fffffff}), HasSubstr("longer than its section"));
  EXPECT_THAT(with(1, 8, std::numeric_limits<float>::infinity()), HasSubstr("norm"));
  EXPECT_THAT(with(1, 12, std::numeric_limits<float>::quiet_NaN()), HasSubstr("range"));
  EXPECT_THAT(with(2, 0, uint64_t{7}), HasSubstr("elements"));
}

TEST(VectorSetFile, LengthsThatLieTakeNoMemory) {
  std::string bytes("SHOALVS\0\1\0\0\0", 12);
  Append(bytes, Tag("CONF"));
  Append(bytes, uint32_t{1});
  Append(bytes, uint64_t{1} << 62);
  EXPECT_THAT(ErrorOf(bytes), HasSubstr("cut off"));
}

TEST(VectorSetFile, MutatedIsRefusedOrAValidSet) {
  std::mt19937 random(11);
  std::vector<std::vector<Section>> files;
  for (const Quantization quantization : kQuantizations)
    files.push_back(SectionsOf(Saved(*SmallSet(quantization))));
  size_t valid = 0;
  for (int i = 0; i < 10000; ++i) {
    std::vector<Section> sections = files[static_cast<size_t>(i) % files.size()];
    for (size_t changes = 1 + random() % 3; changes > 0; --changes) {
      Section& section = sections[random() % sections.size()];
      std::string& payload = section.payload;
      const size_t at = payload.empty() ? 0 : random() % payload.size();
      switch (random() % 8) {
        case 0: section.flags ^= 1; break;
        case 1: payload.insert(at, 1 + random() % 9, static_cast<char>(random())); break;
        case 2: payload.erase(at, 1 + random() % 9); break;
        case 3: sections.erase(sections.begin() + (&section - sections.data())); break;
        case 4: sections.push_back(Section(section)); break;
        default:
          if (!payload.empty()) payload[at] = static_cast<char>(payload[at] ^ (1 << random() % 8));
      }
      if (sections.empty()) break;
    }
    std::string bytes = FileOf(sections);
    if (random() % 8 == 0) bytes[random() % bytes.size()] ^= 1;  // The checksums do not fit.
    const auto loaded = Loaded(bytes);
    if (!loaded) {
      EXPECT_FALSE(loaded.error().message.empty());
      continue;
    }
    ++valid;
    VectorSet& set = **loaded;
    EXPECT_GT(set.size(), 0u);
    EXPECT_EQ(DigestsOf(**Loaded(Saved(set))), DigestsOf(set));
    if (set.encoding().input_dim() > 100) continue;
    EXPECT_FALSE(SearchIn(set, std::vector<float>(set.encoding().input_dim(), 1)).empty());
  }
  EXPECT_GT(valid, 100u);
  EXPECT_LT(valid, 9000u);
}

}  // namespace
}  // namespace shoal::vset
