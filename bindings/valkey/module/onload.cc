// The module's one visible name.
#include "bindings/valkey/module/at_rest.h"
#include "bindings/valkey/module/command.h"
#include "bindings/valkey/module/pool.h"
#include "bindings/valkey/module/set_type.h"
#include "bindings/valkey/module/settings.h"
#include "bindings/valkey/module/statistics.h"

namespace {

using namespace shoal::vset_module;  // NOLINT: its one user.

int Refuse(redis::Ctx* ctx, const char* reason) {
  redis::Log(ctx, "warning", "shoal vector sets: %s", reason);
  return redis::kErr;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int RedisModule_OnLoad(redis::Ctx* ctx,
                                                                         redis::String** argv,
                                                                         int argc) {
  if (const char* missing = redis::Bind(ctx)) {
    // Not even Log is sure to be there.
    if (redis::Log != nullptr)
      redis::Log(ctx, "warning", "shoal vector sets: the server has no %s", missing);
    return redis::kErr;
  }
  if (redis::IsModuleNameBusy(kModuleName) != 0) return redis::kErr;
  redis::SetModuleAttribs(ctx, kModuleName, kModuleVersion, redis::kApiVersion);
  redis::SetModuleOptions(ctx, redis::kHandleIoErrors);
  if (const char* problem = ReadLoadArguments(argv, argc)) return Refuse(ctx, problem);
  if (!RegisterType(ctx) || !CreateCommands(ctx))
    return Refuse(ctx, "the server has commands or a type of these names; load with: prefix TEXT");
  if (!RegisterSettings(ctx)) return Refuse(ctx, "configuration refused");
  if (!RegisterInfo(ctx)) return Refuse(ctx, "INFO section refused");
  CloseGateAtForks();
  ReceiveGatherMessages(ctx);
  const auto stop = [](redis::Ctx*, redis::Event, uint64_t, void*) { Pool::Instance().Stop(); };
  if (redis::SubscribeToServerEvent(ctx, redis::kEventShutdown, stop) != redis::kOk)
    return Refuse(ctx, "shutdown event refused");
  return redis::kOk;
}
