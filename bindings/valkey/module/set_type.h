// The server's type for vector sets: how a key is opened, loaded, saved, copied, freed.
#pragma once

#include "bindings/valkey/abi/redis_module.h"
#include "bindings/valkey/module/stored_set.h"

namespace shoal::vset_module {

// Makes the type known to the server. False: it has one of this name.
bool RegisterType(redis::Ctx* ctx);

// A key that a command has opened; closed at the end.
class OpenedKey {
 public:
  enum class Mode { kRead, kWrite };
  OpenedKey(redis::Ctx* ctx, redis::String* name, Mode mode);
  ~OpenedKey();
  OpenedKey(const OpenedKey&) = delete;
  OpenedKey& operator=(const OpenedKey&) = delete;

  // There is no such key.
  bool empty() const { return empty_; }
  // It holds something else than a vector set.
  bool wrong_type() const { return !empty_ && set_ == nullptr; }
  // Null if empty() or wrong_type().
  const SharedSet& set() const { return set_; }

  // Of a key that is empty and was opened to write.
  void Put(SharedSet set);
  // Removes the key.
  void Delete();

 private:
  redis::Key* key_;
  bool empty_ = true;
  SharedSet set_;
};

}  // namespace shoal::vset_module
