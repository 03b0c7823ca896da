#include "bindings/valkey/module/settings.h"

#include <algorithm>
#include <cctype>

#include "bindings/valkey/core/vector_set.h"
#include "bindings/valkey/module/arguments.h"
#include "bindings/valkey/module/pool.h"

namespace shoal::vset_module {

namespace {

constexpr long long kMaxThreads = 256;
constexpr size_t kMaxPrefix = 32;

long long GetThreads(const char*, void*) {
  return static_cast<long long>(Pool::Instance().threads());
}

int SetThreads(const char*, long long value, void*, redis::String**) {
  Pool::Instance().SetThreads(static_cast<size_t>(value));
  return redis::kOk;
}

long long GetDefaultEf(const char*, void*) { return CurrentSettings().default_ef; }

int SetDefaultEf(const char*, long long value, void*, redis::String**) {
  CurrentSettings().default_ef = value;
  return redis::kOk;
}

bool IsNameByte(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-';
}

}  // namespace

Settings& CurrentSettings() {
  static auto* const settings = new Settings;
  return *settings;
}

std::string CommandName(std::string_view name) {
  return CurrentSettings().prefix + std::string(name);
}

const char* ReadLoadArguments(redis::String** argv, int argc) {
  if (argc == 0) return nullptr;
  if (argc != 2 || !IsWord(View(argv[0]), "PREFIX"))
    return "arguments: expected none, or: prefix TEXT";
  const std::string_view prefix = View(argv[1]);
  if (prefix.empty() || prefix.size() > kMaxPrefix || !std::ranges::all_of(prefix, IsNameByte))
    return "prefix: expected 1 to 32 of A-Z a-z 0-9 . _ -";
  CurrentSettings().prefix = prefix;
  return nullptr;
}

bool RegisterSettings(redis::Ctx* ctx) {
  const auto threads = GetThreads(nullptr, nullptr);
  return redis::RegisterNumericConfig(ctx, "threads", threads, redis::kConfigDefault, 1,
                                      kMaxThreads, GetThreads, SetThreads, nullptr,
                                      nullptr) == redis::kOk &&
         redis::RegisterNumericConfig(ctx, "default-ef", vset::kDefaultEf, redis::kConfigDefault, 1,
                                      vset::kMaxEf, GetDefaultEf, SetDefaultEf, nullptr,
                                      nullptr) == redis::kOk &&
         redis::LoadConfigs(ctx) == redis::kOk;
}

}  // namespace shoal::vset_module
