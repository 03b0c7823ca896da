// What a command is, and what commands have in common.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bindings/valkey/abi/redis_module.h"

namespace shoal::vset_module {

struct CommandSpec {
  const char* name;
  redis::CommandFunc run;
  // Words of the command, name and key included; -n: at least n.
  int arity;
  // As CreateCommand takes them.
  const char* flags;
  // What the command does to its key (redis::kKey...). 0: its first argument is no key.
  uint64_t key_flags;
  const char* summary;
  const char* complexity;
  const char* since;
  // Its arguments behind the key, for COMMAND DOCS.
  std::vector<redis::CommandArg> arguments;
};

// vadd.cc
int RunVadd(redis::Ctx* ctx, redis::String** argv, int argc);
// vsim.cc
int RunVsim(redis::Ctx* ctx, redis::String** argv, int argc);
// vx_sim.cc
int RunVxSim(redis::Ctx* ctx, redis::String** argv, int argc);
// Lets other nodes of the cluster gather from this one. Once, when the module is loaded.
void ReceiveGatherMessages(redis::Ctx* ctx);
// element_commands.cc
int RunVrem(redis::Ctx* ctx, redis::String** argv, int argc);
int RunVsetattr(redis::Ctx* ctx, redis::String** argv, int argc);
int RunVgetattr(redis::Ctx* ctx, redis::String** argv, int argc);
int RunVismember(redis::Ctx* ctx, redis::String** argv, int argc);
int RunVemb(redis::Ctx* ctx, redis::String** argv, int argc);
int RunVlinks(redis::Ctx* ctx, redis::String** argv, int argc);
// set_commands.cc
int RunVcard(redis::Ctx* ctx, redis::String** argv, int argc);
int RunVdim(redis::Ctx* ctx, redis::String** argv, int argc);
int RunVinfo(redis::Ctx* ctx, redis::String** argv, int argc);
int RunVxMemory(redis::Ctx* ctx, redis::String** argv, int argc);
int RunVrandmember(redis::Ctx* ctx, redis::String** argv, int argc);
int RunVrange(redis::Ctx* ctx, redis::String** argv, int argc);

// command_table.cc: creates all commands under CommandName, with documentation and ACL categories
// where the server has these. False: a name is taken.
bool CreateCommands(redis::Ctx* ctx);

// Replies. All return kOk, as a command does.
int ReplyError(redis::Ctx* ctx, std::string_view text);
int ReplyWrongType(redis::Ctx* ctx);
int ReplyBytes(redis::Ctx* ctx, std::string_view bytes);
int ReplyNames(redis::Ctx* ctx, const std::vector<std::string>& names);
// Null for an empty attribute.
int ReplyAttribute(redis::Ctx* ctx, std::string_view attribute);

// Whether the client may wait for its reply: not in scripts and transactions, nor where the server
// itself is the client (a replica, a file that is loaded).
bool MayBlock(redis::Ctx* ctx);

// A command has changed its key: replicas and the append-only file get it as it is, clients that
// watch get the event.
void Announce(redis::Ctx* ctx, const char* event, redis::String* key);

}  // namespace shoal::vset_module
