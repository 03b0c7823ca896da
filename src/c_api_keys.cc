// The C interface: keys.
#include <memory>

#include "c_api.h"
#include "shoal/key_map.h"

struct shoal_keys {
  shoal::KeyMap map;
};

namespace c = shoal::c;
using shoal::Status;

namespace {

// May throw bad_alloc.
shoal::Result<shoal::PointKey> KeyOf(const shoal_key& key) {
  if (key.kind != SHOAL_KEY_TEXT && key.kind != SHOAL_KEY_BYTES)
    return c::Invalid("key.kind: no such number");
  const std::string_view data(static_cast<const char*>(key.data), key.bytes);
  if (key.kind == SHOAL_KEY_TEXT) return shoal::PointKey(data);
  return shoal::PointKey::OfBytes(std::as_bytes(std::span(data)));
}

// call(key), which gives a Status.
template <class Call>
int32_t OnKey(const shoal_key& key, shoal_error* error, const Call& call) {
  return c::Guarded(error, [&]() -> Status {
    const shoal::Result<shoal::PointKey> checked = KeyOf(key);
    if (!checked) return tl::unexpected(checked.error());
    return call(*checked);
  });
}

}  // namespace

int32_t shoal_keys_create(shoal_keys** keys, shoal_error* error) {
  *keys = nullptr;
  return c::Guarded(error, [&]() -> Status {
    *keys = new shoal_keys();
    return {};
  });
}

void shoal_keys_destroy(shoal_keys* keys) { delete keys; }

int32_t shoal_keys_assign(shoal_keys* keys, shoal_key key, uint64_t* id, shoal_error* error) {
  return OnKey(key, error, [&](const shoal::PointKey& checked) -> Status {
    const auto assigned = keys->map.Assign(checked);
    if (!assigned) return tl::unexpected(assigned.error());
    *id = *assigned;
    return {};
  });
}

int32_t shoal_keys_find(const shoal_keys* keys, shoal_key key, uint64_t* id, shoal_error* error) {
  return OnKey(key, error, [&](const shoal::PointKey& checked) -> Status {
    const auto found = keys->map.Find(checked);
    if (!found)
      return shoal::MakeError(shoal::ErrorCode::kNotFound, "key: expected one that has an id");
    *id = *found;
    return {};
  });
}

int32_t shoal_keys_of(const shoal_keys* keys, uint64_t id, size_t capacity, void* data,
                      size_t* bytes, int32_t* kind, shoal_error* error) {
  return c::Guarded(error, [&]() -> Status {
    const auto key = keys->map.KeyOf(id);
    if (!key) return tl::unexpected(key.error());
    const std::string_view found = key->data();
    if (capacity > 0) std::memcpy(data, found.data(), std::min(capacity, found.size()));
    if (bytes != nullptr) *bytes = found.size();
    if (kind != nullptr) *kind = key->is_text() ? SHOAL_KEY_TEXT : SHOAL_KEY_BYTES;
    return {};
  });
}

int shoal_keys_remove(shoal_keys* keys, shoal_key key) {
  bool removed = false;
  OnKey(key, nullptr, [&](const shoal::PointKey& checked) -> Status {
    removed = keys->map.Remove(checked);
    return {};
  });
  return removed ? 1 : 0;
}

size_t shoal_keys_size(const shoal_keys* keys) { return keys->map.size(); }

int32_t shoal_keys_save(const shoal_keys* keys, const shoal_index* index, const char* path,
                        shoal_error* error) {
  return c::Guarded(error, [&] { return keys->map.Save(index->live(), path); });
}

int32_t shoal_keys_load(const char* path, const shoal_index_options* options, shoal_index** index,
                        shoal_keys** keys, shoal_error* error) {
  *index = nullptr;
  *keys = nullptr;
  return c::Guarded(error, [&]() -> Status {
    const auto runtime = c::RuntimeOf(options);
    if (!runtime) return tl::unexpected(runtime.error());
    auto loaded = shoal::LoadKeyed(path, {*runtime, {}});
    if (!loaded) return tl::unexpected(loaded.error());
    auto owned = std::make_unique<shoal_keys>(shoal_keys{std::move(loaded->keys)});
    if (Status ok = c::Own(shoal::Result<shoal::Index>(std::move(loaded->index)), index); !ok)
      return ok;
    *keys = owned.release();
    return {};
  });
}

int32_t shoal_keys_read(const shoal_database* database, const char* index, shoal_keys** keys,
                        shoal_error* error) {
  *keys = nullptr;
  return c::Guarded(error, [&]() -> Status {
    auto read = shoal::KeyMap::Read(*database->database, index);
    if (!read) return tl::unexpected(read.error());
    *keys = new shoal_keys{*std::move(read)};
    return {};
  });
}

int32_t shoal_keys_put(const shoal_keys* keys, shoal_transaction* transaction, const char* index,
                       shoal_key key, shoal_error* error) {
  return OnKey(key, error, [&](const shoal::PointKey& checked) {
    return keys->map.Put(transaction->transaction, index, checked);
  });
}

int32_t shoal_keys_delete(shoal_transaction* transaction, const char* index, shoal_key key,
                          shoal_error* error) {
  return OnKey(key, error, [&](const shoal::PointKey& checked) {
    return shoal::KeyMap::Delete(transaction->transaction, index, checked);
  });
}
