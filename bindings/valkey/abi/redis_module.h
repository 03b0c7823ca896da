// The module interface of Redis 7.0 and newer and of Valkey, as far as this module uses it: our own
// declarations of names, signatures and numbers. Nothing is linked: a server hands every function
// out by name (Bind). tests/abi_check.cc compares this file with a server's own header.
//
// Thread safety: as the server says. Alloc, Calloc and Free: any thread. The replies of a context:
// one thread at a time. UnblockClient, EventLoopAddOneShot: any thread. All else: the main
// thread, or a thread that holds the server's lock.
#pragma once

#include <cstddef>
#include <cstdint>

namespace redis {

struct Ctx;
struct Key;
struct String;
struct Type;
struct Io;
struct Digest;
struct Command;
struct BlockedClient;
struct InfoCtx;
struct User;
struct CallReply;

inline constexpr int kOk = 0;
inline constexpr int kErr = 1;
inline constexpr int kApiVersion = 1;

// OpenKey.
inline constexpr int kRead = 1;
inline constexpr int kWrite = 2;
// KeyType.
inline constexpr int kKeyEmpty = 0;
inline constexpr int kKeyModule = 6;

// GetContextFlags.
inline constexpr int kCtxLua = 1 << 0;
inline constexpr int kCtxMulti = 1 << 1;
inline constexpr int kCtxMaster = 1 << 2;
inline constexpr int kCtxSlave = 1 << 3;
inline constexpr int kCtxCluster = 1 << 5;
inline constexpr int kCtxReplicated = 1 << 12;
inline constexpr int kCtxLoading = 1 << 13;
inline constexpr int kCtxDenyBlocking = 1 << 21;
inline constexpr int kCtxResp3 = 1 << 22;

// Bytes of a cluster node's id, which is no C string where the server hands it out.
inline constexpr size_t kNodeIdBytes = 40;
// GetClusterNodeInfo.
inline constexpr int kNodeMyself = 1 << 0;
inline constexpr int kNodeMaster = 1 << 1;
inline constexpr int kNodeFailing = 1 << 4;

// SetModuleOptions.
inline constexpr int kHandleIoErrors = 1 << 0;

// NotifyKeyspaceEvent.
inline constexpr int kNotifyGeneric = 1 << 2;
inline constexpr int kNotifyModule = 1 << 13;

// Flags of configuration values.
inline constexpr unsigned kConfigDefault = 0;
inline constexpr unsigned kConfigImmutable = 1;

// ReplyWithArray: the length follows (ReplySetArrayLength).
inline constexpr long kPostponedLength = -1;

inline constexpr char kWrongType[] =
    "WRONGTYPE Operation against a key holding the wrong kind of value";

using CommandFunc = int (*)(Ctx*, String**, int);

// The callbacks of a type. A server reads as many of them as `version` says it has.
inline constexpr uint64_t kTypeMethodsVersion = 4;
struct TypeMethods {
  uint64_t version = kTypeMethodsVersion;
  void* (*rdb_load)(Io*, int encver) = nullptr;
  void (*rdb_save)(Io*, void* value) = nullptr;
  void (*aof_rewrite)(Io*, String* key, void* value) = nullptr;
  size_t (*mem_usage)(const void* value) = nullptr;
  void (*digest)(Digest*, void* value) = nullptr;
  void (*free)(void* value) = nullptr;
  int (*aux_load)(Io*, int encver, int when) = nullptr;
  void (*aux_save)(Io*, int when) = nullptr;
  int aux_save_triggers = 0;
  size_t (*free_effort)(String* key, const void* value) = nullptr;
  void (*unlink)(String* key, const void* value) = nullptr;
  void* (*copy)(String* from, String* to, const void* value) = nullptr;
  int (*defrag)(void* context, String* key, void** value) = nullptr;
  size_t (*mem_usage2)(void* context, const void* value, size_t sample_size) = nullptr;
  size_t (*free_effort2)(void* context, const void* value) = nullptr;
  void (*unlink2)(void* context, const void* value) = nullptr;
  void* (*copy2)(void* context, const void* value) = nullptr;
};

// Documentation of a command (SetCommandInfo).
enum ArgType : int {
  kArgString,
  kArgInteger,
  kArgDouble,
  kArgKey,
  kArgPattern,
  kArgUnixTime,
  kArgToken,
  kArgOneOf,
  kArgBlock,
};
inline constexpr int kArgOptional = 1 << 0;
inline constexpr int kArgMultiple = 1 << 1;
struct CommandArg {
  const char* name = nullptr;
  ArgType type = kArgString;
  int key_spec_index = -1;
  const char* token = nullptr;
  const char* summary = nullptr;
  const char* since = nullptr;
  int flags = 0;
  const char* deprecated_since = nullptr;
  CommandArg* subargs = nullptr;
};
struct HistoryEntry {
  const char* since = nullptr;
  const char* changes = nullptr;
};
// Key specification flags.
inline constexpr uint64_t kKeyReadOnly = 1 << 0;
inline constexpr uint64_t kKeyReadWrite = 1 << 1;
inline constexpr uint64_t kKeyAccess = 1 << 4;
inline constexpr uint64_t kKeyUpdate = 1 << 5;
inline constexpr uint64_t kKeyInsert = 1 << 6;
inline constexpr uint64_t kKeyDelete = 1 << 7;
enum BeginSearch : int { kBeginInvalid, kBeginUnknown, kBeginIndex, kBeginKeyword };
enum FindKeys : int { kFindOmitted, kFindUnknown, kFindRange, kFindKeynum };
struct KeySpec {
  const char* notes = nullptr;
  uint64_t flags = 0;
  BeginSearch begin_search = kBeginInvalid;
  struct Begin {  // The larger alternative of a union; of kBeginIndex the position comes first.
    union {
      int pos;
      const char* keyword;
    };
    int start_from;
  } begin = {};
  FindKeys find_keys = kFindOmitted;
  struct Range {
    int last_key = 0;
    int key_step = 0;
    int limit = 0;
  } range = {};
};
struct CommandInfoVersion {
  int version = 1;
  size_t size_of_history_entry = sizeof(HistoryEntry);
  size_t size_of_key_spec = sizeof(KeySpec);
  size_t size_of_arg = sizeof(CommandArg);
};
inline constexpr CommandInfoVersion kCommandInfoVersion = {};
struct CommandInfo {
  const CommandInfoVersion* version = &kCommandInfoVersion;
  const char* summary = nullptr;
  const char* complexity = nullptr;
  const char* since = nullptr;
  HistoryEntry* history = nullptr;
  const char* tips = nullptr;
  int arity = 0;
  KeySpec* key_specs = nullptr;
  CommandArg* args = nullptr;
};

// Server events.
struct Event {
  uint64_t id;
  uint64_t data_version;
};
inline constexpr Event kEventShutdown = {5, 1};
using EventCallback = void (*)(Ctx*, Event, uint64_t subevent, void* data);

using ClusterMessageReceiver = void (*)(Ctx*, const char* sender, uint8_t type,
                                        const unsigned char* payload, uint32_t bytes);
using OneShot = void (*)(void* data);
using TimerId = uint64_t;
using TimerFunc = void (*)(Ctx*, void* data);
using FreePrivateData = void (*)(Ctx*, void*);
using InfoFunc = void (*)(InfoCtx*, int for_crash_report);
using GetNumeric = long long (*)(const char* name, void* data);
using SetNumeric = int (*)(const char* name, long long value, void* data, String** error);
using ApplyConfig = int (*)(Ctx*, void* data, String** error);

// X(result, name, arguments): without one of these the module does not load.
#define SHOAL_REDIS_REQUIRED(X)                                                                \
  X(void*, Alloc, (size_t))                                                                    \
  X(void*, TryAlloc, (size_t))                                                                 \
  X(void, Free, (void*))                                                                       \
  X(void, SetModuleAttribs, (Ctx*, const char*, int, int))                                     \
  X(int, IsModuleNameBusy, (const char*))                                                      \
  X(void, SetModuleOptions, (Ctx*, int))                                                       \
  X(int, CreateCommand, (Ctx*, const char*, CommandFunc, const char*, int, int, int))          \
  X(int, WrongArity, (Ctx*))                                                                   \
  X(int, GetContextFlags, (Ctx*))                                                              \
  X(const char*, StringPtrLen, (const String*, size_t*))                                       \
  X(String*, CreateString, (Ctx*, const char*, size_t))                                        \
  X(void, FreeString, (Ctx*, String*))                                                         \
  X(Key*, OpenKey, (Ctx*, String*, int))                                                       \
  X(void, CloseKey, (Key*))                                                                    \
  X(int, KeyType, (Key*))                                                                      \
  X(int, DeleteKey, (Key*))                                                                    \
  X(Type*, ModuleTypeGetType, (Key*))                                                          \
  X(void*, ModuleTypeGetValue, (Key*))                                                         \
  X(int, ModuleTypeSetValue, (Key*, Type*, void*))                                             \
  X(int, NotifyKeyspaceEvent, (Ctx*, int, const char*, String*))                               \
  X(int, ReplyWithError, (Ctx*, const char*))                                                  \
  X(int, ReplyWithLongLong, (Ctx*, long long))                                                 \
  X(int, ReplyWithDouble, (Ctx*, double))                                                      \
  X(int, ReplyWithSimpleString, (Ctx*, const char*))                                           \
  X(int, ReplyWithStringBuffer, (Ctx*, const char*, size_t))                                   \
  X(int, ReplyWithArray, (Ctx*, long))                                                         \
  X(int, ReplyWithNullArray, (Ctx*))                                                           \
  X(int, ReplyWithNull, (Ctx*))                                                                \
  X(int, ReplyWithMap, (Ctx*, long))                                                           \
  X(int, ReplyWithBool, (Ctx*, int))                                                           \
  X(int, Replicate, (Ctx*, const char*, const char*, ...))                                     \
  X(int, ReplicateVerbatim, (Ctx*))                                                            \
  X(Type*, CreateDataType, (Ctx*, const char*, int, TypeMethods*))                             \
  X(void, SaveUnsigned, (Io*, uint64_t))                                                       \
  X(uint64_t, LoadUnsigned, (Io*))                                                             \
  X(void, SaveStringBuffer, (Io*, const char*, size_t))                                        \
  X(char*, LoadStringBuffer, (Io*, size_t*))                                                   \
  X(int, IsIOError, (Io*))                                                                     \
  X(void, EmitAOF, (Io*, const char*, const char*, ...))                                       \
  X(void, LogIOError, (Io*, const char*, const char*, ...))                                    \
  X(void, DigestAddStringBuffer, (Digest*, const char*, size_t))                               \
  X(void, DigestAddLongLong, (Digest*, long long))                                             \
  X(void, DigestEndSequence, (Digest*))                                                        \
  X(void, Log, (Ctx*, const char*, const char*, ...))                                          \
  X(BlockedClient*, BlockClient, (Ctx*, CommandFunc, CommandFunc, FreePrivateData, long long)) \
  X(int, UnblockClient, (BlockedClient*, void*))                                               \
  X(void*, GetBlockedClientPrivateData, (Ctx*))                                                \
  X(int, SubscribeToServerEvent, (Ctx*, Event, EventCallback))                                 \
  X(int, RegisterInfoFunc, (Ctx*, InfoFunc))                                                   \
  X(int, InfoAddSection, (InfoCtx*, const char*))                                              \
  X(int, InfoAddFieldULongLong, (InfoCtx*, const char*, unsigned long long))                   \
  X(int, RegisterNumericConfig,                                                                \
    (Ctx*, const char*, long long, unsigned, long long, long long, GetNumeric, SetNumeric,     \
     ApplyConfig, void*))                                                                      \
  X(int, LoadConfigs, (Ctx*))                                                                  \
  X(void, RegisterClusterMessageReceiver, (Ctx*, uint8_t, ClusterMessageReceiver))             \
  X(int, SendClusterMessage, (Ctx*, const char*, uint8_t, const char*, uint32_t))              \
  X(char**, GetClusterNodesList, (Ctx*, size_t*))                                              \
  X(void, FreeClusterNodesList, (char**))                                                      \
  X(int, GetClusterNodeInfo, (Ctx*, const char*, char*, char*, int*, int*))                    \
  X(Ctx*, GetDetachedThreadSafeContext, (Ctx*))                                                \
  X(int, EventLoopAddOneShot, (OneShot, void*))                                                \
  X(TimerId, CreateTimer, (Ctx*, long long, TimerFunc, void*))                                 \
  X(int, StopTimer, (Ctx*, TimerId, void**))                                                   \
  X(String*, GetCurrentUserName, (Ctx*))                                                       \
  X(User*, GetModuleUserFromUserName, (String*))                                               \
  X(void, FreeModuleUser, (User*))                                                             \
  X(int, ACLCheckKeyPermissions, (User*, String*, int))                                        \
  X(CallReply*, Call, (Ctx*, const char*, const char*, ...))                                   \
  X(void, FreeCallReply, (CallReply*))

// Null where the server does not have them. Redis 7.0 has the first.
#define SHOAL_REDIS_OPTIONAL_OF_7_0(X)                    \
  X(Command*, GetCommand, (Ctx*, const char*))            \
  X(int, SetCommandInfo, (Command*, const CommandInfo*))  \
  X(int, BlockedClientMeasureTimeStart, (BlockedClient*)) \
  X(int, BlockedClientMeasureTimeEnd, (BlockedClient*))
#define SHOAL_REDIS_OPTIONAL(X)               \
  SHOAL_REDIS_OPTIONAL_OF_7_0(X)              \
  X(int, AddACLCategory, (Ctx*, const char*)) \
  X(int, SetCommandACLCategories, (Command*, const char*))

#define SHOAL_REDIS_DECLARE(result, name, arguments) inline result(*name) arguments = nullptr;
SHOAL_REDIS_REQUIRED(SHOAL_REDIS_DECLARE)
SHOAL_REDIS_OPTIONAL(SHOAL_REDIS_DECLARE)
#undef SHOAL_REDIS_DECLARE

// Looks every function up. A context's first member is the function that does. Returns the name of
// a required function that the server lacks, or null.
inline const char* Bind(Ctx* ctx) {
  using GetApi = int (*)(const char*, void*);
  const auto get = *reinterpret_cast<GetApi*>(ctx);
#define SHOAL_REDIS_BIND(result, name, arguments) \
  if (get("RedisModule_" #name, &name) != kOk) return #name;
#define SHOAL_REDIS_TRY(result, name, arguments) \
  if (get("RedisModule_" #name, &name) != kOk) name = nullptr;
  SHOAL_REDIS_REQUIRED(SHOAL_REDIS_BIND)
  SHOAL_REDIS_OPTIONAL(SHOAL_REDIS_TRY)
#undef SHOAL_REDIS_BIND
#undef SHOAL_REDIS_TRY
  return nullptr;
}

}  // namespace redis
