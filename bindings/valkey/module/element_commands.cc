// Commands about one element: VREM, VSETATTR, VGETATTR, VISMEMBER, VEMB, VLINKS.
#include "bindings/valkey/module/arguments.h"
#include "bindings/valkey/module/command.h"
#include "bindings/valkey/module/set_type.h"

namespace shoal::vset_module {

int RunVrem(redis::Ctx* ctx, redis::String** argv, int argc) {
  if (argc != 3) return redis::WrongArity(ctx);
  OpenedKey key(ctx, argv[1], OpenedKey::Mode::kWrite);
  if (key.wrong_type()) return ReplyWrongType(ctx);
  if (key.empty() || !key.set()->set().Remove(View(argv[2]))) return redis::ReplyWithBool(ctx, 0);
  Announce(ctx, "vrem", argv[1]);
  if (key.set()->set().size() == 0) {
    key.Delete();
    redis::NotifyKeyspaceEvent(ctx, redis::kNotifyGeneric, "del", argv[1]);
  } else {
    key.set()->Changed();
  }
  return redis::ReplyWithBool(ctx, 1);
}

int RunVsetattr(redis::Ctx* ctx, redis::String** argv, int argc) {
  if (argc != 4) return redis::WrongArity(ctx);
  const OpenedKey key(ctx, argv[1], OpenedKey::Mode::kWrite);
  if (key.wrong_type()) return ReplyWrongType(ctx);
  if (key.empty()) return redis::ReplyWithBool(ctx, 0);
  const Result<bool> set = key.set()->set().SetAttribute(View(argv[2]), View(argv[3]));
  if (!set) return ReplyError(ctx, "ERR " + set.error().message);
  if (*set) Announce(ctx, "vsetattr", argv[1]);
  return redis::ReplyWithBool(ctx, *set ? 1 : 0);
}

int RunVgetattr(redis::Ctx* ctx, redis::String** argv, int argc) {
  if (argc != 3) return redis::WrongArity(ctx);
  const OpenedKey key(ctx, argv[1], OpenedKey::Mode::kRead);
  if (key.wrong_type()) return ReplyWrongType(ctx);
  if (key.empty()) return redis::ReplyWithNull(ctx);
  return ReplyAttribute(ctx, key.set()->set().Attribute(View(argv[2])).value_or(""));
}

int RunVismember(redis::Ctx* ctx, redis::String** argv, int argc) {
  if (argc != 3) return redis::WrongArity(ctx);
  const OpenedKey key(ctx, argv[1], OpenedKey::Mode::kRead);
  if (key.wrong_type()) return ReplyWrongType(ctx);
  const bool member = !key.empty() && key.set()->set().Contains(View(argv[2]));
  return redis::ReplyWithBool(ctx, member ? 1 : 0);
}

namespace {

int ReplyRaw(redis::Ctx* ctx, const vset::EncodedVector& vector, vset::Quantization quantization) {
  const bool int8 = quantization == vset::Quantization::kInt8;
  redis::ReplyWithArray(ctx, int8 ? 4 : 3);
  redis::ReplyWithSimpleString(ctx, std::string(QuantizationName(quantization)).c_str());
  std::string bytes(reinterpret_cast<const char*>(vector.bytes.data()), vector.bytes.size());
  // Clients know bits as words of 64.
  if (quantization == vset::Quantization::kBinary) bytes.resize((bytes.size() + 7) / 8 * 8);
  ReplyBytes(ctx, bytes);
  redis::ReplyWithDouble(ctx, vector.norm);
  if (int8) redis::ReplyWithDouble(ctx, vector.range);
  return redis::kOk;
}

}  // namespace

int RunVemb(redis::Ctx* ctx, redis::String** argv, int argc) {
  if (argc < 3) return redis::WrongArity(ctx);
  Arguments options(argv, argc);
  options.Take();
  const bool raw = options.TakeWord("RAW");
  while (options.TakeWord("RAW")) continue;
  if (!options.done()) return ReplyError(ctx, "ERR invalid option");

  const OpenedKey key(ctx, argv[1], OpenedKey::Mode::kRead);
  if (key.wrong_type()) return ReplyWrongType(ctx);
  if (key.empty()) return redis::ReplyWithNull(ctx);
  const vset::VectorSet& set = key.set()->set();
  const std::optional<vset::EncodedVector> vector = set.Vector(View(argv[2]));
  if (!vector) return redis::ReplyWithNull(ctx);
  if (raw) return ReplyRaw(ctx, *vector, set.options().encoding.quantization);
  const std::vector<double> elements = set.encoding().Decode(*vector);
  redis::ReplyWithArray(ctx, static_cast<long>(elements.size()));
  // As floats, which the vectors were: what was not quantised comes back as it was given.
  for (const double element : elements) redis::ReplyWithDouble(ctx, static_cast<float>(element));
  return redis::kOk;
}

int RunVlinks(redis::Ctx* ctx, redis::String** argv, int argc) {
  if (argc != 3 && argc != 4) return redis::WrongArity(ctx);
  const bool scores = argc == 4;
  if (scores && !IsWord(View(argv[3]), "WITHSCORES")) return redis::WrongArity(ctx);
  const OpenedKey key(ctx, argv[1], OpenedKey::Mode::kRead);
  if (key.wrong_type()) return ReplyWrongType(ctx);
  if (key.empty()) return redis::ReplyWithNull(ctx);
  const std::optional<std::vector<vset::Neighbor>> links = key.set()->set().Links(View(argv[2]));
  if (!links) return redis::ReplyWithNull(ctx);
  redis::ReplyWithArray(ctx, 1);  // The graph has one layer.
  const auto count = static_cast<long>(links->size());
  scores ? redis::ReplyWithMap(ctx, count) : redis::ReplyWithArray(ctx, count);
  for (const vset::Neighbor& neighbor : *links) {
    ReplyBytes(ctx, neighbor.name);
    if (scores) redis::ReplyWithDouble(ctx, neighbor.score);
  }
  return redis::kOk;
}

}  // namespace shoal::vset_module
