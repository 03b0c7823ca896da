// Commands about a whole set: VCARD, VDIM, VINFO, VX.MEMORY, VRANDMEMBER, VRANGE.
#include <array>
#include <limits>
#include <random>
#include <utility>

#include "bindings/valkey/module/arguments.h"
#include "bindings/valkey/module/command.h"
#include "bindings/valkey/module/set_type.h"

namespace shoal::vset_module {

namespace {

// Most members that one VRANDMEMBER repeats: the reply is made whole.
constexpr long long kMaxRepeats = 10'000'000;

int ReplyEmpty(redis::Ctx* ctx) { return redis::ReplyWithArray(ctx, 0); }

void ReplyField(redis::Ctx* ctx, const char* name, uint64_t value) {
  redis::ReplyWithSimpleString(ctx, name);
  redis::ReplyWithLongLong(ctx, static_cast<long long>(value));
}

uint64_t Seed() {
  static std::mt19937_64 seeds{std::random_device{}()};
  return seeds();
}

// [name, (name, - or +.
std::optional<vset::NameBound> ParseBound(std::string_view text) {
  using Kind = vset::NameBound::Kind;
  if (text == "-" || text == "+") return vset::NameBound{};
  if (text.empty()) return std::nullopt;
  if (text[0] == '[') return vset::NameBound{Kind::kInclusive, text.substr(1)};
  if (text[0] == '(') return vset::NameBound{Kind::kExclusive, text.substr(1)};
  return std::nullopt;
}

}  // namespace

int RunVcard(redis::Ctx* ctx, redis::String** argv, int argc) {
  if (argc != 2) return redis::WrongArity(ctx);
  const OpenedKey key(ctx, argv[1], OpenedKey::Mode::kRead);
  if (key.wrong_type()) return ReplyWrongType(ctx);
  const size_t size = key.empty() ? 0 : key.set()->set().size();
  return redis::ReplyWithLongLong(ctx, static_cast<long long>(size));
}

int RunVdim(redis::Ctx* ctx, redis::String** argv, int argc) {
  if (argc != 2) return redis::WrongArity(ctx);
  const OpenedKey key(ctx, argv[1], OpenedKey::Mode::kRead);
  if (key.wrong_type()) return ReplyWrongType(ctx);
  if (key.empty()) return ReplyError(ctx, "ERR key does not exist");
  return redis::ReplyWithLongLong(ctx, key.set()->set().options().encoding.dim);
}

int RunVinfo(redis::Ctx* ctx, redis::String** argv, int argc) {
  if (argc != 2) return redis::WrongArity(ctx);
  const OpenedKey key(ctx, argv[1], OpenedKey::Mode::kRead);
  if (key.wrong_type()) return ReplyWrongType(ctx);
  if (key.empty()) return redis::ReplyWithNullArray(ctx);
  const vset::VectorSetInfo info = key.set()->set().Info();
  const vset::EncodingOptions& encoding = info.options.encoding;
  redis::ReplyWithMap(ctx, 9);
  redis::ReplyWithSimpleString(ctx, "quant-type");
  redis::ReplyWithSimpleString(ctx, std::string(QuantizationName(encoding.quantization)).c_str());
  ReplyField(ctx, "hnsw-m", info.options.links);
  ReplyField(ctx, "vector-dim", encoding.dim);
  ReplyField(ctx, "projection-input-dim", encoding.input_dim);
  ReplyField(ctx, "size", info.size);
  ReplyField(ctx, "max-level", 0);  // The graph has one layer.
  ReplyField(ctx, "attributes-count", info.attributes);
  ReplyField(ctx, "vset-uid", key.set()->uid());
  ReplyField(ctx, "hnsw-max-node-uid", info.added);
  return redis::kOk;
}

// VX.MEMORY key: bytes by what they are for.
int RunVxMemory(redis::Ctx* ctx, redis::String** argv, int argc) {
  if (argc != 2) return redis::WrongArity(ctx);
  const OpenedKey key(ctx, argv[1], OpenedKey::Mode::kRead);
  if (key.wrong_type()) return ReplyWrongType(ctx);
  if (key.empty()) return redis::ReplyWithNullArray(ctx);
  const vset::VectorSetMemory memory = key.set()->set().Memory();
  const std::array<std::pair<const char*, uint64_t>, 11> parts = {
      {{"total", memory.total()},
       {"elements", memory.elements},
       {"table", memory.table},
       {"order", memory.order},
       {"retired", memory.retired},
       {"vectors", memory.graph.vectors},
       {"neighbors", memory.graph.neighbors},
       {"reverse-lists", memory.graph.reverse_lists},
       {"slots", memory.graph.slots},
       {"id-map", memory.graph.id_map},
       {"scratch", memory.graph.scratch}}};
  redis::ReplyWithMap(ctx, static_cast<long>(parts.size()));
  for (const auto& [part, bytes] : parts) ReplyField(ctx, part, bytes);
  return redis::kOk;
}

int RunVrandmember(redis::Ctx* ctx, redis::String** argv, int argc) {
  using Repeats = vset::VectorSet::Repeats;
  if (argc != 2 && argc != 3) return redis::WrongArity(ctx);
  std::optional<long long> count;
  if (argc == 3) {
    count = ToInteger(View(argv[2]));
    if (!count) return ReplyError(ctx, "ERR COUNT value is not an integer");
    if (*count < -kMaxRepeats) return ReplyError(ctx, "ERR value is out of range");
  }
  const OpenedKey key(ctx, argv[1], OpenedKey::Mode::kRead);
  if (key.wrong_type()) return ReplyWrongType(ctx);
  if (key.empty()) return count ? ReplyEmpty(ctx) : redis::ReplyWithNull(ctx);
  const vset::VectorSet& set = key.set()->set();
  if (!count) return ReplyBytes(ctx, set.RandomMembers(1, Repeats::kNo, Seed()).front());
  const Repeats repeats = *count < 0 ? Repeats::kYes : Repeats::kNo;
  const auto members = static_cast<size_t>(*count < 0 ? -*count : *count);
  return ReplyNames(ctx, set.RandomMembers(members, repeats, Seed()));
}

int RunVrange(redis::Ctx* ctx, redis::String** argv, int argc) {
  if (argc != 4 && argc != 5) return redis::WrongArity(ctx);
  const std::string_view start = View(argv[2]);
  const std::string_view end = View(argv[3]);
  const std::optional<vset::NameBound> first = ParseBound(start);
  if (!first) return ReplyError(ctx, "ERR invalid start range format");
  const std::optional<vset::NameBound> last = ParseBound(end);
  if (!last) return ReplyError(ctx, "ERR invalid end range format");
  if (start == "+" || end == "-")
    return ReplyError(ctx, "ERR '-' can only be used as first argument, '+' only as second");
  size_t limit = std::numeric_limits<size_t>::max();
  if (argc == 5) {
    const std::optional<long long> count = ToInteger(View(argv[4]));
    if (!count) return ReplyError(ctx, "ERR invalid COUNT value");
    if (*count >= 0) limit = static_cast<size_t>(*count);
  }
  const OpenedKey key(ctx, argv[1], OpenedKey::Mode::kRead);
  if (key.wrong_type()) return ReplyWrongType(ctx);
  if (key.empty() || limit == 0) return ReplyEmpty(ctx);
  return ReplyNames(ctx, key.set()->set().Range(*first, *last, limit));
}

}  // namespace shoal::vset_module
