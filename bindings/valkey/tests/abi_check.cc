// Compiles only if abi/redis_module.h says what a server's own header says: every function takes
// and returns the same kinds of values, every struct has the same layout, every number is the same.
//   g++ -std=c++20 -fsyntax-only -DSERVER_HEADER='"redismodule.h"' -I...
//   bindings/valkey/tests/abi_check.cc
#include <sys/types.h>

#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <type_traits>

#include "bindings/valkey/abi/redis_module.h"

#define REDISMODULE_ATTR __attribute__((unused))
namespace server {
#include SERVER_HEADER  // NOLINT: its includes are above.
}  // namespace server

namespace {

// What a calling convention sees of a type: pointers are alike, and so are events.
template <class T>
struct Kind {
  using type = std::conditional_t<std::is_pointer_v<T>, void*, T>;
};
template <>
struct Kind<server::RedisModuleEvent> {
  using type = redis::Event;
};
template <class T>
struct Signature;
template <class R, class... A>
struct Signature<R (*)(A...)> {
  using type = typename Kind<R>::type (*)(typename Kind<A>::type...);
};
template <class R, class... A>
struct Signature<R (*)(A..., ...)> {
  using type = typename Kind<R>::type (*)(typename Kind<A>::type..., ...);
};
template <class A, class B>
inline constexpr bool kSame =
    std::is_same_v<typename Signature<A>::type, typename Signature<B>::type>;

#define SAME(result, name, arguments) \
  static_assert(kSame<decltype(server::RedisModule_##name), decltype(redis::name)>, #name);
SHOAL_REDIS_REQUIRED(SAME)
SHOAL_REDIS_OPTIONAL_OF_7_0(SAME)

#define VALUE(theirs, ours) static_assert((theirs) == (ours), #ours)
VALUE(REDISMODULE_OK, redis::kOk);
VALUE(REDISMODULE_ERR, redis::kErr);
VALUE(REDISMODULE_APIVER_1, redis::kApiVersion);
VALUE(REDISMODULE_READ, redis::kRead);
VALUE(REDISMODULE_WRITE, redis::kWrite);
VALUE(REDISMODULE_KEYTYPE_EMPTY, redis::kKeyEmpty);
VALUE(REDISMODULE_KEYTYPE_MODULE, redis::kKeyModule);
VALUE(REDISMODULE_CTX_FLAGS_LUA, redis::kCtxLua);
VALUE(REDISMODULE_CTX_FLAGS_MULTI, redis::kCtxMulti);
VALUE(REDISMODULE_CTX_FLAGS_MASTER, redis::kCtxMaster);
VALUE(REDISMODULE_CTX_FLAGS_SLAVE, redis::kCtxSlave);
VALUE(REDISMODULE_CTX_FLAGS_CLUSTER, redis::kCtxCluster);
VALUE(REDISMODULE_NODE_ID_LEN, static_cast<int>(redis::kNodeIdBytes));
VALUE(REDISMODULE_NODE_MYSELF, redis::kNodeMyself);
VALUE(REDISMODULE_NODE_MASTER, redis::kNodeMaster);
VALUE(REDISMODULE_NODE_FAIL, redis::kNodeFailing);
VALUE(REDISMODULE_CTX_FLAGS_REPLICATED, redis::kCtxReplicated);
VALUE(REDISMODULE_CTX_FLAGS_LOADING, redis::kCtxLoading);
VALUE(REDISMODULE_CTX_FLAGS_DENY_BLOCKING, redis::kCtxDenyBlocking);
VALUE(REDISMODULE_CTX_FLAGS_RESP3, redis::kCtxResp3);
VALUE(REDISMODULE_OPTIONS_HANDLE_IO_ERRORS, redis::kHandleIoErrors);
VALUE(REDISMODULE_NOTIFY_GENERIC, redis::kNotifyGeneric);
VALUE(REDISMODULE_NOTIFY_MODULE, redis::kNotifyModule);
VALUE(REDISMODULE_CONFIG_DEFAULT, redis::kConfigDefault);
VALUE(REDISMODULE_CONFIG_IMMUTABLE, redis::kConfigImmutable);
VALUE(REDISMODULE_POSTPONED_ARRAY_LEN, redis::kPostponedLength);
VALUE(REDISMODULE_TYPE_METHOD_VERSION, redis::kTypeMethodsVersion);
VALUE(server::REDISMODULE_ARG_TYPE_STRING, static_cast<int>(redis::kArgString));
VALUE(server::REDISMODULE_ARG_TYPE_KEY, static_cast<int>(redis::kArgKey));
VALUE(server::REDISMODULE_ARG_TYPE_PURE_TOKEN, static_cast<int>(redis::kArgToken));
VALUE(server::REDISMODULE_ARG_TYPE_ONEOF, static_cast<int>(redis::kArgOneOf));
VALUE(server::REDISMODULE_ARG_TYPE_BLOCK, static_cast<int>(redis::kArgBlock));
VALUE(REDISMODULE_CMD_ARG_OPTIONAL, redis::kArgOptional);
VALUE(REDISMODULE_CMD_ARG_MULTIPLE, redis::kArgMultiple);
VALUE(server::REDISMODULE_KSPEC_BS_INDEX, static_cast<int>(redis::kBeginIndex));
VALUE(server::REDISMODULE_KSPEC_FK_RANGE, static_cast<int>(redis::kFindRange));
VALUE(REDISMODULE_CMD_KEY_RO, redis::kKeyReadOnly);
VALUE(REDISMODULE_CMD_KEY_RW, redis::kKeyReadWrite);
VALUE(REDISMODULE_CMD_KEY_ACCESS, redis::kKeyAccess);
VALUE(REDISMODULE_CMD_KEY_UPDATE, redis::kKeyUpdate);
VALUE(REDISMODULE_CMD_KEY_INSERT, redis::kKeyInsert);
VALUE(REDISMODULE_CMD_KEY_DELETE, redis::kKeyDelete);

#define SIZE(theirs, ours) static_assert(sizeof(server::theirs) == sizeof(redis::ours), #ours)
#define FIELD(theirs, their_field, ours, our_field)                                          \
  static_assert(offsetof(server::theirs, their_field) == offsetof(redis::ours, our_field) && \
                    sizeof(server::theirs::their_field) == sizeof(redis::ours::our_field),   \
                #our_field)
#define METHOD(field) FIELD(RedisModuleTypeMethods, field, TypeMethods, field)
SIZE(RedisModuleEvent, Event);
FIELD(RedisModuleEvent, id, Event, id);
FIELD(RedisModuleEvent, dataver, Event, data_version);
static_assert(REDISMODULE_EVENT_SHUTDOWN == redis::kEventShutdown.id);
SIZE(RedisModuleTypeMethods, TypeMethods);
METHOD(version);
METHOD(rdb_load);
METHOD(rdb_save);
METHOD(aof_rewrite);
METHOD(mem_usage);
METHOD(digest);
METHOD(free);
METHOD(aux_save_triggers);
METHOD(free_effort);
METHOD(unlink);
METHOD(copy);
METHOD(copy2);
SIZE(RedisModuleCommandArg, CommandArg);
FIELD(RedisModuleCommandArg, name, CommandArg, name);
FIELD(RedisModuleCommandArg, type, CommandArg, type);
FIELD(RedisModuleCommandArg, key_spec_index, CommandArg, key_spec_index);
FIELD(RedisModuleCommandArg, token, CommandArg, token);
FIELD(RedisModuleCommandArg, flags, CommandArg, flags);
FIELD(RedisModuleCommandArg, subargs, CommandArg, subargs);
SIZE(RedisModuleCommandHistoryEntry, HistoryEntry);
SIZE(RedisModuleCommandKeySpec, KeySpec);
FIELD(RedisModuleCommandKeySpec, flags, KeySpec, flags);
FIELD(RedisModuleCommandKeySpec, begin_search_type, KeySpec, begin_search);
FIELD(RedisModuleCommandKeySpec, bs, KeySpec, begin);
FIELD(RedisModuleCommandKeySpec, find_keys_type, KeySpec, find_keys);
FIELD(RedisModuleCommandKeySpec, fk, KeySpec, range);
SIZE(RedisModuleCommandInfoVersion, CommandInfoVersion);
SIZE(RedisModuleCommandInfo, CommandInfo);
FIELD(RedisModuleCommandInfo, summary, CommandInfo, summary);
FIELD(RedisModuleCommandInfo, arity, CommandInfo, arity);
FIELD(RedisModuleCommandInfo, key_specs, CommandInfo, key_specs);
FIELD(RedisModuleCommandInfo, args, CommandInfo, args);

}  // namespace
