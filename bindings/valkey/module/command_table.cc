// All commands in one table, and their documentation for COMMAND DOCS.
#include <array>

#include "bindings/valkey/module/command.h"
#include "bindings/valkey/module/settings.h"

namespace shoal::vset_module {

namespace {

using redis::CommandArg;

constexpr uint64_t kReads = redis::kKeyReadOnly | redis::kKeyAccess;
constexpr uint64_t kUpdates = redis::kKeyReadWrite | redis::kKeyUpdate;
constexpr uint64_t kDeletes = redis::kKeyReadWrite | redis::kKeyDelete;

CommandArg ValueArgument(const char* name, redis::ArgType type) {
  return {.name = name, .type = type};
}

// [NAME]
CommandArg Flag(const char* name, const char* token) {
  return {.name = name, .type = redis::kArgToken, .token = token, .flags = redis::kArgOptional};
}

// [TOKEN value]
CommandArg Option(const char* name, redis::ArgType type, const char* token) {
  return {.name = name, .type = type, .token = token, .flags = redis::kArgOptional};
}

CommandArg Optional(const char* name, redis::ArgType type) {
  return {.name = name, .type = type, .flags = redis::kArgOptional};
}

// A choice. `alternatives` ends with an empty one.
CommandArg OneOf(const char* name, CommandArg* alternatives, int flags = 0) {
  return {.name = name, .type = redis::kArgOneOf, .flags = flags, .subargs = alternatives};
}

CommandArg Token(const char* name, const char* token) {
  return {.name = name, .type = redis::kArgToken, .token = token};
}

CommandArg Tokened(const char* name, redis::ArgType type, const char* token) {
  return {.name = name, .type = type, .token = token};
}

// VALUES n v1 .. vn
CommandArg* Values() {
  static std::array<CommandArg, 3> block = {
      Tokened("count", redis::kArgInteger, "VALUES"),
      {.name = "value", .type = redis::kArgDouble, .flags = redis::kArgMultiple}};
  return block.data();
}

CommandArg Vector() {
  static std::array<CommandArg, 5> forms = {
      Tokened("fp32", redis::kArgString, "FP32"),
      {.name = "values", .type = redis::kArgBlock, .subargs = Values()},
      Tokened("xi8", redis::kArgString, "XI8"),
      Tokened("xu8", redis::kArgString, "XU8")};
  return OneOf("vector", forms.data());
}

CommandArg Query() {
  static std::array<CommandArg, 6> forms = {
      Tokened("element", redis::kArgString, "ELE"),
      Tokened("fp32", redis::kArgString, "FP32"),
      {.name = "values", .type = redis::kArgBlock, .subargs = Values()},
      Tokened("xi8", redis::kArgString, "XI8"),
      Tokened("xu8", redis::kArgString, "XU8")};
  return OneOf("query", forms.data());
}

CommandArg Quantization() {
  static std::array<CommandArg, 4> kinds = {Token("noquant", "NOQUANT"), Token("q8", "Q8"),
                                            Token("bin", "BIN")};
  return OneOf("quantization", kinds.data(), redis::kArgOptional);
}

std::vector<CommandArg> VaddArguments() {
  return {Option("dim", redis::kArgInteger, "REDUCE"),
          Vector(),
          ValueArgument("element", redis::kArgString),
          Flag("cas", "CAS"),
          Quantization(),
          Option("build-exploration-factor", redis::kArgInteger, "EF"),
          Option("attributes", redis::kArgString, "SETATTR"),
          Option("numlinks", redis::kArgInteger, "M"),
          Option("metric", redis::kArgString, "XDISTANCE_METRIC")};
}

std::vector<CommandArg> VsimArguments() {
  return {Query(),
          Flag("withscores", "WITHSCORES"),
          Flag("withattribs", "WITHATTRIBS"),
          Option("num", redis::kArgInteger, "COUNT"),
          Option("max-distance", redis::kArgDouble, "EPSILON"),
          Option("search-exploration-factor", redis::kArgInteger, "EF"),
          Option("expression", redis::kArgString, "FILTER"),
          Option("max-filtering-effort", redis::kArgInteger, "FILTER-EF"),
          Flag("truth", "TRUTH"),
          Flag("nothread", "NOTHREAD"),
          Option("metric", redis::kArgString, "XDISTANCE_METRIC")};
}

std::vector<CommandArg> VxSimArguments() {
  std::vector<CommandArg> arguments = VsimArguments();
  arguments.pop_back();  // No metric.
  arguments.insert(arguments.begin(), ValueArgument("partitions", redis::kArgInteger));
  arguments.insert(arguments.begin() + 2, Option("milliseconds", redis::kArgInteger, "DEADLINE"));
  return arguments;
}

std::vector<CommandSpec> Table() {
  const CommandArg element = ValueArgument("element", redis::kArgString);
  return {
      {"VADD", RunVadd, -5, "write deny-oom", kUpdates,
       "Adds an element to a vector set, or replaces its vector.", "O(1), linking apart", "0.1.0",
       VaddArguments()},
      {"VSIM", RunVsim, -4, "readonly", kReads, "Finds the elements most similar to a vector.",
       "O(log(N))", "0.1.0", VsimArguments()},
      {"VX.SIM", RunVxSim, -5, "readonly", 0,
       "Finds the most similar elements in all partitions of a set, anywhere in the cluster.",
       "O(log(N)) for each partition", "0.1.0", VxSimArguments()},
      {"VREM",
       RunVrem,
       3,
       "write",
       kDeletes,
       "Removes an element from a vector set.",
       "O(M)",
       "0.1.0",
       {element}},
      {"VCARD",
       RunVcard,
       2,
       "readonly fast",
       kReads,
       "Counts the elements of a vector set.",
       "O(1)",
       "0.1.0",
       {}},
      {"VDIM",
       RunVdim,
       2,
       "readonly fast",
       kReads,
       "Returns the dimension of a vector set.",
       "O(1)",
       "0.1.0",
       {}},
      {"VEMB",
       RunVemb,
       -3,
       "readonly fast",
       kReads,
       "Returns the vector of an element.",
       "O(1)",
       "0.1.0",
       {element, Flag("raw", "RAW")}},
      {"VLINKS",
       RunVlinks,
       -3,
       "readonly fast",
       kReads,
       "Returns the neighbors of an element.",
       "O(log(N))",
       "0.1.0",
       {element, Flag("withscores", "WITHSCORES")}},
      {"VINFO",
       RunVinfo,
       2,
       "readonly fast",
       kReads,
       "Describes a vector set.",
       "O(1)",
       "0.1.0",
       {}},
      {"VX.MEMORY",
       RunVxMemory,
       2,
       "readonly",
       kReads,
       "Says what the memory of a vector set is for.",
       "O(1)",
       "0.1.0",
       {}},
      {"VSETATTR",
       RunVsetattr,
       4,
       "write deny-oom fast",
       kUpdates,
       "Sets or removes the attribute of an element.",
       "O(1)",
       "0.1.0",
       {element, ValueArgument("attributes", redis::kArgString)}},
      {"VGETATTR",
       RunVgetattr,
       3,
       "readonly fast",
       kReads,
       "Returns the attribute of an element.",
       "O(1)",
       "0.1.0",
       {element}},
      {"VRANDMEMBER",
       RunVrandmember,
       -2,
       "readonly",
       kReads,
       "Returns random elements of a vector set.",
       "O(N) of the count asked for",
       "0.1.0",
       {Optional("count", redis::kArgInteger)}},
      {"VISMEMBER",
       RunVismember,
       3,
       "readonly",
       kReads,
       "Tells whether an element is in a vector set.",
       "O(1)",
       "0.1.0",
       {element}},
      {"VRANGE",
       RunVrange,
       -4,
       "readonly",
       kReads,
       "Returns elements in byte order of their names.",
       "O(log(N)) and the number returned",
       "0.1.0",
       {ValueArgument("start", redis::kArgString), ValueArgument("end", redis::kArgString),
        Optional("count", redis::kArgInteger)}},
  };
}

bool Describe(redis::Command* command, const CommandSpec& spec) {
  std::array<redis::KeySpec, 2> keys = {};
  keys[0].flags = spec.key_flags;
  keys[0].begin_search = redis::kBeginIndex;
  keys[0].begin.pos = 1;
  keys[0].find_keys = redis::kFindRange;
  keys[0].range = {.last_key = 0, .key_step = 1, .limit = 0};
  std::vector<CommandArg> arguments = {
      {.name = "key", .type = redis::kArgKey, .key_spec_index = 0}};
  if (spec.key_flags == 0) arguments = {ValueArgument("name", redis::kArgString)};
  arguments.insert(arguments.end(), spec.arguments.begin(), spec.arguments.end());
  arguments.emplace_back();  // Its end.
  const redis::CommandInfo info{.summary = spec.summary,
                                .complexity = spec.complexity,
                                .since = spec.since,
                                .arity = spec.arity,
                                .key_specs = spec.key_flags == 0 ? nullptr : keys.data(),
                                .args = arguments.data()};
  return redis::SetCommandInfo(command, &info) == redis::kOk;
}

}  // namespace

bool CreateCommands(redis::Ctx* ctx) {
  // Refused where the server has a category of this name itself, which is as good.
  if (redis::AddACLCategory != nullptr) redis::AddACLCategory(ctx, "vectorset");
  for (const CommandSpec& spec : Table()) {
    const std::string name = CommandName(spec.name);
    const int key = spec.key_flags == 0 ? 0 : 1;
    if (redis::CreateCommand(ctx, name.c_str(), spec.run, spec.flags, key, key, key) != redis::kOk)
      return false;
    redis::Command* command =
        redis::GetCommand == nullptr ? nullptr : redis::GetCommand(ctx, name.c_str());
    if (command == nullptr) continue;
    if (redis::SetCommandInfo != nullptr && !Describe(command, spec)) return false;
    if (redis::AddACLCategory != nullptr && redis::SetCommandACLCategories != nullptr)
      redis::SetCommandACLCategories(command, "vectorset");
  }
  return true;
}

}  // namespace shoal::vset_module
