#include "shoal/key_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/temp_folder.h"

namespace shoal {
namespace {

PointKey Uuid(uint8_t last) {
  std::vector<std::byte> bytes(16, std::byte{0});
  bytes[15] = std::byte{last};
  return PointKey::OfBytes(bytes);
}

Index IndexOf(const KeyMap& keys, const std::vector<PointKey>& of) {
  Index index = *Index::Create({.dim = 2});
  for (const PointKey& key : of) {
    const auto id = static_cast<float>(*keys.Find(key));
    EXPECT_TRUE(index.Insert(*keys.Find(key), std::vector<float>{id, 1}));
  }
  return index;
}

TEST(KeyMap, IdsCountUpAndAreNeverUsedAgain) {
  KeyMap keys;
  EXPECT_EQ(*keys.Assign("red"), 0u);
  EXPECT_EQ(*keys.Assign("blue"), 1u);
  EXPECT_EQ(*keys.Assign("red"), 0u);
  EXPECT_TRUE(keys.Remove("blue"));
  EXPECT_FALSE(keys.Remove("blue"));
  EXPECT_EQ(keys.Find("blue"), std::nullopt);
  EXPECT_EQ(keys.KeyOf(1).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(*keys.Assign("blue"), 2u);
  EXPECT_EQ(keys.size(), 2u);
  EXPECT_EQ(keys.next_id(), 3u);
}

TEST(KeyMap, ATextAndTheSameBytesAreTwoKeys) {
  KeyMap keys;
  const PointKey bytes = PointKey::OfBytes(std::as_bytes(std::span("red", 3)));
  EXPECT_EQ(*keys.Assign("red"), 0u);
  EXPECT_EQ(*keys.Assign(bytes), 1u);
  EXPECT_TRUE(keys.KeyOf(0)->is_text());
  EXPECT_FALSE(keys.KeyOf(1)->is_text());
  EXPECT_EQ(keys.KeyOf(0)->data(), keys.KeyOf(1)->data());
  EXPECT_EQ(*keys.KeyOf(1), bytes);
}

TEST(KeyMap, AFileHasIndexAndKeysAndWhichIdIsNext) {
  const TempFolder folder;
  const auto path = folder / "keyed";
  KeyMap keys;
  const std::vector<PointKey> all = {"red", "", Uuid(1), Uuid(2), std::string(5000, 'x').c_str()};
  for (const PointKey& key : all) ASSERT_TRUE(keys.Assign(key));
  ASSERT_TRUE(keys.Assign("gone"));
  keys.Remove("gone");
  ASSERT_TRUE(keys.Save(IndexOf(keys, all), path));
  Result<KeyedIndex> again = LoadKeyed(path);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->keys.size(), all.size());
  for (const PointKey& key : all) EXPECT_EQ(again->keys.Find(key), keys.Find(key));
  EXPECT_EQ(again->keys.next_id(), 6u);
  const auto hits = again->index.Search(std::vector<float>{3, 1}, {.k = 1});
  EXPECT_EQ(*again->keys.KeyOf(hits->front().id), Uuid(2));
}

TEST(KeyMap, ADamagedFileIsRefusedWhereverTheDamageIs) {
  const TempFolder folder;
  const auto path = folder / "keyed";
  KeyMap keys;
  const std::vector<PointKey> all = {"red", Uuid(1)};
  for (const PointKey& key : all) ASSERT_TRUE(keys.Assign(key));
  ASSERT_TRUE(keys.Save(IndexOf(keys, all), path));
  const std::string whole = ReadBytes(path);
  const auto refused = [&](const std::string& data) {
    WriteBytes(path, data);
    const auto loaded = LoadKeyed(path);
    return !loaded && loaded.error().code == ErrorCode::kCorrupt;
  };
  // The map, its checksum and the lengths; the snapshot has tests of its own.
  for (size_t at = whole.size() - 97; at < whole.size(); ++at) {
    std::string data = whole;
    data[at] = static_cast<char>(data[at] ^ 4);
    EXPECT_TRUE(refused(data)) << at;
  }
  for (const size_t bytes : {size_t{0}, size_t{23}, size_t{24}, whole.size() - 1})
    EXPECT_TRUE(refused(whole.substr(0, bytes))) << bytes;
  EXPECT_EQ(LoadKeyed(folder / "none").error().code, ErrorCode::kFileNotFound);
}

TEST(KeyMap, AnIndexWithoutAKeyForEachPointIsNoKeyedIndex) {
  const TempFolder folder;
  KeyMap keys;
  ASSERT_TRUE(keys.Assign("red"));
  const Index index = IndexOf(keys, {"red"});
  ASSERT_TRUE(keys.Assign("blue"));
  ASSERT_TRUE(keys.Save(index, folder / "keyed"));
  EXPECT_THAT(LoadKeyed(folder / "keyed").error().message,
              testing::HasSubstr("expected a key for each of 1 points, found 2"));
}

TEST(KeyMap, ADatabaseCommitsKeysWithTheirPointsOrNeither) {
  const TempFolder folder;
  const auto path = folder / "points.db";
  Database database = *Database::Open(path, {.max_bytes = uint64_t{1} << 28});
  const StoredIndex index = *database.CreateIndex("a", {.dim = 2});
  KeyMap keys = *KeyMap::Read(database, "a");
  EXPECT_EQ(keys.size(), 0u);
  const auto put = [&](const PointKey& key, bool commit) {
    Transaction change = *database.Begin();
    const ExternalId id = *keys.Assign(key);
    EXPECT_TRUE(change.Upsert(index, id, std::vector<float>{1, 2}));
    EXPECT_TRUE(keys.Put(change, "a", key));
    EXPECT_TRUE(!commit || change.Commit());
  };
  put("red", true);
  put(Uuid(1), true);
  put("blue", false);
  const KeyMap again = *KeyMap::Read(database, "a");
  EXPECT_EQ(again.size(), 2u);
  EXPECT_EQ(again.Find("red"), 0u);
  EXPECT_EQ(again.Find(Uuid(1)), 1u);
  EXPECT_EQ(again.next_id(), 2u);

  Transaction change = *database.Begin();
  EXPECT_TRUE(change.Delete(index, 1));
  EXPECT_TRUE(KeyMap::Delete(change, "a", Uuid(1)));
  EXPECT_EQ(keys.Put(change, "a", "never").error().code, ErrorCode::kNotFound);
  const std::string longest(PointKey::kMaxStored, 'x'), longer = longest + "x";
  ASSERT_TRUE(keys.Assign(longest) && keys.Assign(longer));
  EXPECT_TRUE(keys.Put(change, "a", longest));
  EXPECT_EQ(keys.Put(change, "a", longer).error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(change.Commit());
  const KeyMap last = *KeyMap::Read(database, "a");
  EXPECT_EQ(last.Find(Uuid(1)), std::nullopt);
  EXPECT_TRUE(last.Find(longest));
  EXPECT_EQ(last.next_id(), keys.next_id());
}

}  // namespace
}  // namespace shoal
