#include "bindings/valkey/module/set_type.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bindings/valkey/core/serialize.h"
#include "bindings/valkey/module/at_rest.h"
#include "bindings/valkey/module/import.h"
#include "bindings/valkey/module/rewrite.h"
#include "bindings/valkey/module/settings.h"

namespace shoal::vset_module {

namespace {

// Version of what SaveValue writes: strings, chunk by chunk, of core/serialize.h's stream, and an
// empty one at the end.
constexpr int kEncodingVersion = 1;
// Version of what Redis 8 writes, which is read only.
constexpr int kVersionOfRedis8 = 0;

redis::Type* type = nullptr;

// What a key's value pointer is.
using Value = SharedSet;

Value& ValueOf(void* value) { return *static_cast<Value*>(value); }
const Value& ValueOf(const void* value) { return *static_cast<const Value*>(value); }

// The strings of a file, as one stream that ends with an empty one.
class ChunkSource {
 public:
  explicit ChunkSource(redis::Io* io) : io_(io) {}
  ~ChunkSource() { Drop(); }
  ChunkSource(const ChunkSource&) = delete;
  ChunkSource& operator=(const ChunkSource&) = delete;

  size_t Read(std::span<std::byte> bytes) {
    if (read_ == size_ && !Next()) return 0;
    const size_t count = std::min(bytes.size(), size_ - read_);
    std::memcpy(bytes.data(), chunk_ + read_, count);
    read_ += count;
    return count;
  }
  // Whether the stream ends here; reads its end.
  bool AtEnd() { return read_ == size_ && !Next() && ended_; }

 private:
  bool Next() {
    if (ended_ || failed_) return false;
    Drop();
    chunk_ = redis::LoadStringBuffer(io_, &size_);
    read_ = 0;
    failed_ = chunk_ == nullptr || redis::IsIOError(io_) != 0;
    ended_ = !failed_ && size_ == 0;
    if (failed_) size_ = 0;
    return !failed_ && !ended_;
  }
  void Drop() {
    if (chunk_ != nullptr) redis::Free(chunk_);
    chunk_ = nullptr;
    size_ = read_ = 0;
  }

  redis::Io* io_;
  char* chunk_ = nullptr;
  size_t size_ = 0;
  size_t read_ = 0;
  bool ended_ = false;
  bool failed_ = false;
};

// What SaveValue wrote.
Result<std::unique_ptr<vset::VectorSet>> LoadOwn(redis::Io* io) {
  ChunkSource source(io);
  Result<std::unique_ptr<vset::VectorSet>> set = vset::Load(
      [&source](std::span<std::byte> bytes) { return source.Read(bytes); }, {.gate = &Gate()});
  if (set && !source.AtEnd())
    return MakeError(ErrorCode::kCorrupt, "the end of the stream was expected");
  return set;
}

void* LoadValue(redis::Io* io, int version) {
  if (version != kEncodingVersion && version != kVersionOfRedis8) {
    redis::LogIOError(io, "warning", "vector set: encoding version: expected 0 or %d, found %d",
                      kEncodingVersion, version);
    return nullptr;
  }
  Result<std::unique_ptr<vset::VectorSet>> set =
      version == kEncodingVersion ? LoadOwn(io) : LoadOfRedis8(io);
  if (!set) {
    redis::LogIOError(io, "warning", "vector set: %s", set.error().message.c_str());
    return nullptr;
  }
  auto value = std::make_unique<Value>(std::make_shared<StoredSet>(*std::move(set)));
  (*value)->Changed();
  return value.release();
}

void SaveValue(redis::Io* io, void* value) {
  const AtRest at_rest;
  (void)vset::Save(ValueOf(value)->set(), [io](std::span<const std::byte> bytes) {
    redis::SaveStringBuffer(io, reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return redis::IsIOError(io) == 0;
  });  // An error is the stream's, which the server sees itself.
  redis::SaveStringBuffer(io, "", 0);
}

void RewriteValue(redis::Io* io, redis::String* key, void* value) {
  const AtRest at_rest;
  EmitElements(io, key, ValueOf(value)->set());
}

size_t MemoryOfValue(const void* value) {
  return ValueOf(value)->set().Memory().total() + sizeof(StoredSet);
}

void DigestValue(redis::Digest* digest, void* value) {
  const AtRest at_rest;
  std::string bytes;
  ValueOf(value)->set().ForEach([&](const vset::ElementView& element) {
    bytes.clear();
    vset::AppendDigestBytes(element, bytes);
    redis::DigestAddStringBuffer(digest, bytes.data(), bytes.size());
    redis::DigestEndSequence(digest);
  });
}

void FreeValue(void* value) { delete static_cast<Value*>(value); }

// Elements: the server frees large values on a thread of its own where it is told to.
size_t EffortToFree(redis::String*, const void* value) { return ValueOf(value)->set().size(); }

void* CopyValue(redis::String*, redis::String*, const void* value) {
  std::vector<std::byte> stream;
  const auto append = [&stream](std::span<const std::byte> bytes) {
    stream.insert(stream.end(), bytes.begin(), bytes.end());
    return true;
  };
  {
    const AtRest at_rest;
    if (!vset::Save(ValueOf(value)->set(), append)) return nullptr;
  }
  size_t read = 0;
  const auto next = [&](std::span<std::byte> bytes) {
    const size_t count = std::min(bytes.size(), stream.size() - read);
    std::memcpy(bytes.data(), stream.data() + read, count);
    read += count;
    return count;
  };
  Result<std::unique_ptr<vset::VectorSet>> set = vset::Load(next, {.gate = &Gate()});
  if (!set) return nullptr;
  auto copy = std::make_unique<Value>(std::make_shared<StoredSet>(*std::move(set)));
  (*copy)->Changed();
  return copy.release();
}

}  // namespace

bool RegisterType(redis::Ctx* ctx) {
  redis::TypeMethods methods{.rdb_load = LoadValue,
                             .rdb_save = SaveValue,
                             .aof_rewrite = RewriteValue,
                             .mem_usage = MemoryOfValue,
                             .digest = DigestValue,
                             .free = FreeValue,
                             .free_effort = EffortToFree,
                             .copy = CopyValue};
  // Nine characters. With a prefix the server may have vector sets of its own.
  const char* name = CurrentSettings().prefix.empty() ? "vectorset" : "shoalvset";
  type = redis::CreateDataType(ctx, name, kEncodingVersion, &methods);
  return type != nullptr;
}

OpenedKey::OpenedKey(redis::Ctx* ctx, redis::String* name, Mode mode)
    : key_(redis::OpenKey(ctx, name,
                          mode == Mode::kRead ? redis::kRead : redis::kRead | redis::kWrite)) {
  if (key_ == nullptr) return;
  empty_ = redis::KeyType(key_) == redis::kKeyEmpty;
  if (!empty_ && redis::ModuleTypeGetType(key_) == type)
    set_ = ValueOf(redis::ModuleTypeGetValue(key_));
}

OpenedKey::~OpenedKey() {
  if (key_ != nullptr) redis::CloseKey(key_);
}

void OpenedKey::Put(SharedSet set) {
  redis::ModuleTypeSetValue(key_, type, new Value(set));
  set_ = std::move(set);
  empty_ = false;
}

void OpenedKey::Delete() {
  redis::DeleteKey(key_);
  set_.reset();
  empty_ = true;
}

}  // namespace shoal::vset_module
