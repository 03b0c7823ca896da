// What a user sets: a load argument, and values of the server's configuration (module "shoal":
// shoal.threads, shoal.default-ef).
#pragma once

#include <string>
#include <string_view>

#include "bindings/valkey/abi/redis_module.h"

namespace shoal::vset_module {

inline constexpr char kModuleName[] = "shoal";
inline constexpr int kModuleVersion = 1;

struct Settings {
  // In front of every command's name. Empty: the names of Redis 8. Fixed when the module is loaded.
  std::string prefix;
  // EF of a VSIM that names none.
  long long default_ef = 100;
};

// The process's. Main thread.
Settings& CurrentSettings();

// The name of a command as users know it here.
std::string CommandName(std::string_view name);

// Reads the load arguments: [prefix TEXT]. Null, or what is wrong.
const char* ReadLoadArguments(redis::String** argv, int argc);

// Registers the configuration values, and reads what the server's file says. False: refused.
bool RegisterSettings(redis::Ctx* ctx);

}  // namespace shoal::vset_module
