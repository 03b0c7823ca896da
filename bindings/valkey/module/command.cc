#include "bindings/valkey/module/command.h"

namespace shoal::vset_module {

int ReplyError(redis::Ctx* ctx, std::string_view text) {
  return redis::ReplyWithError(ctx, std::string(text).c_str());
}

int ReplyWrongType(redis::Ctx* ctx) { return redis::ReplyWithError(ctx, redis::kWrongType); }

int ReplyBytes(redis::Ctx* ctx, std::string_view bytes) {
  return redis::ReplyWithStringBuffer(ctx, bytes.data(), bytes.size());
}

int ReplyNames(redis::Ctx* ctx, const std::vector<std::string>& names) {
  redis::ReplyWithArray(ctx, static_cast<long>(names.size()));
  for (const std::string& name : names) ReplyBytes(ctx, name);
  return redis::kOk;
}

int ReplyAttribute(redis::Ctx* ctx, std::string_view attribute) {
  return attribute.empty() ? redis::ReplyWithNull(ctx) : ReplyBytes(ctx, attribute);
}

bool MayBlock(redis::Ctx* ctx) {
  constexpr int kNoBlocking = redis::kCtxLua | redis::kCtxMulti | redis::kCtxDenyBlocking |
                              redis::kCtxReplicated | redis::kCtxLoading;
  return (redis::GetContextFlags(ctx) & kNoBlocking) == 0;
}

void Announce(redis::Ctx* ctx, const char* event, redis::String* key) {
  redis::ReplicateVerbatim(ctx);
  redis::NotifyKeyspaceEvent(ctx, redis::kNotifyModule, event, key);
}

}  // namespace shoal::vset_module
