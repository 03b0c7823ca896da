// VADD key [REDUCE dim] (FP32 blob | VALUES n v1 .. vn | XI8 blob | XU8 blob | XENCODED n blob)
//   element [CAS] [NOQUANT | Q8 | BIN] [EF n] [SETATTR json] [M n] [XDISTANCE_METRIC metric]
//
// The element is stored, replicated and found when the reply is sent; worker threads link it later.
// So CAS has nothing to do.
#include <optional>
#include <utility>

#include "bindings/valkey/module/arguments.h"
#include "bindings/valkey/module/at_rest.h"
#include "bindings/valkey/module/command.h"
#include "bindings/valkey/module/rewrite.h"
#include "bindings/valkey/module/set_type.h"

namespace shoal::vset_module {

namespace {

struct AddRequest {
  uint32_t reduce = 0;  // 0: no projection.
  uint32_t dim = 0;     // Elements of the given vector.
  std::vector<float> vector;
  std::optional<vset::EncodedVector> encoded;  // XENCODED: instead of `vector`.
  std::string_view element;
  vset::Quantization quantization = vset::Quantization::kInt8;
  std::optional<vset::Similarity> similarity;
  uint32_t build_ef = vset::kDefaultBuildEf;
  uint32_t links = vset::kDefaultLinks;
  std::optional<std::string_view> attribute;
};

constexpr char kInvalidVector[] = "ERR invalid vector specification";
constexpr char kInvalidOption[] = "ERR invalid option after element";

bool InRange(std::optional<long long> value, long long least, long long most) {
  return value && *value >= least && *value <= most;
}

// XENCODED n blob.
bool TakeEncoded(Arguments& arguments, AddRequest& request) {
  const std::optional<long long> dim = arguments.TakeInteger();
  if (!InRange(dim, 1, vset::kMaxVectorDim) || arguments.done()) return false;
  request.dim = static_cast<uint32_t>(*dim);
  request.encoded = FromBlob(arguments.Take());
  return request.encoded.has_value();
}

// What stands before the element.
bool TakeVectorPart(Arguments& arguments, AddRequest& request) {
  if (arguments.TakeWord("REDUCE")) {
    const std::optional<long long> reduce = arguments.TakeInteger();
    if (!InRange(reduce, 1, vset::kMaxVectorDim)) return false;
    request.reduce = static_cast<uint32_t>(*reduce);
  }
  if (arguments.TakeWord("XENCODED")) {
    if (!TakeEncoded(arguments, request)) return false;
  } else {
    std::optional<std::vector<float>> vector = TakeVector(arguments);
    if (!vector) return false;
    request.vector = *std::move(vector);
    request.dim = static_cast<uint32_t>(request.vector.size());
  }
  return request.reduce <= request.dim;
}

// An option with a value. Null, or the error.
const char* TakeValuedOption(Arguments& arguments, AddRequest& request) {
  if (arguments.left() < 2) return kInvalidOption;
  if (arguments.TakeWord("EF")) {
    const std::optional<long long> ef = arguments.TakeInteger();
    if (!InRange(ef, 1, vset::kMaxEf)) return "ERR invalid EF";
    request.build_ef = static_cast<uint32_t>(*ef);
  } else if (arguments.TakeWord("M")) {
    const std::optional<long long> links = arguments.TakeInteger();
    if (!InRange(links, vset::kMinLinks, vset::kMaxLinks)) return "ERR invalid M";
    request.links = static_cast<uint32_t>(*links);
  } else if (arguments.TakeWord("SETATTR")) {
    request.attribute = arguments.Take();
  } else if (arguments.TakeWord("XDISTANCE_METRIC")) {
    request.similarity = TakeSimilarity(arguments);
    if (!request.similarity) return "ERR invalid XDISTANCE_METRIC";
  } else {
    return kInvalidOption;
  }
  return nullptr;
}

const char* TakeOptions(Arguments& arguments, AddRequest& request) {
  while (!arguments.done()) {
    if (arguments.TakeWord("CAS")) continue;
    if (arguments.TakeWord("NOQUANT")) {
      request.quantization = vset::Quantization::kFloat32;
    } else if (arguments.TakeWord("Q8")) {
      request.quantization = vset::Quantization::kInt8;
    } else if (arguments.TakeWord("BIN")) {
      request.quantization = vset::Quantization::kBinary;
    } else if (const char* error = TakeValuedOption(arguments, request)) {
      return error;
    }
  }
  return nullptr;
}

// Whether an element of this kind fits the set. Empty, or the error.
std::string Mismatch(const AddRequest& request, const vset::VectorSetOptions& options) {
  const vset::EncodingOptions& encoding = options.encoding;
  const std::string got = std::to_string(request.dim);
  if (request.quantization != encoding.quantization)
    return "ERR asked quantization mismatch with existing vector set";
  if (request.links != options.links) return "ERR asked M value mismatch with existing vector set";
  if (request.similarity && *request.similarity != encoding.similarity)
    return "ERR asked distance metric mismatch with existing vector set";
  const bool projected = encoding.input_dim != 0;
  if (projected ? request.reduce == 0 : request.dim != encoding.dim)
    return "ERR Vector dimension mismatch - got " + got + " but set has " +
           std::to_string(encoding.dim);
  if (!projected && request.reduce != 0)
    return "ERR cannot add projection to existing set without projection";
  if (projected && request.reduce != encoding.dim)
    return "ERR projection dimension mismatch with existing set";
  if (projected && request.dim != encoding.input_dim)
    return "ERR Input dimension mismatch for projection - got " + got + " but projection expects " +
           std::to_string(encoding.input_dim);
  return {};
}

Result<std::unique_ptr<vset::VectorSet>> CreateSet(const AddRequest& request) {
  const bool projected = request.reduce != 0;
  return vset::VectorSet::Create(
      {.encoding = {.dim = projected ? request.reduce : request.dim,
                    .input_dim = projected ? request.dim : 0,
                    .quantization = request.quantization,
                    .similarity = request.similarity.value_or(vset::Similarity::kCosine)},
       .links = request.links,
       .build_ef = request.build_ef,
       .gate = &Gate()});
}

Result<vset::EncodedVector> Encode(const AddRequest& request, const vset::Encoding& encoding) {
  if (!request.encoded) return encoding.Encode(request.vector);
  if (Status status = encoding.Check(*request.encoded); !status)
    return tl::unexpected(std::move(status).error());
  return *request.encoded;
}

int ReplyAdded(redis::Ctx* ctx, vset::AddOutcome outcome) {
  return redis::ReplyWithBool(ctx, outcome == vset::AddOutcome::kAdded ? 1 : 0);
}

// The client gets its reply when a worker thread has linked an element: who adds faster than
// elements are linked waits. Its own is stored and replicated already.
int ReplyAfterALink(redis::Ctx* ctx, StoredSet& stored, vset::AddOutcome outcome) {
  const auto reply = [](redis::Ctx* blocked, redis::String**, int) {
    return ReplyAdded(blocked,
                      *static_cast<vset::AddOutcome*>(redis::GetBlockedClientPrivateData(blocked)));
  };
  const auto free = [](redis::Ctx*, void* data) { delete static_cast<vset::AddOutcome*>(data); };
  redis::BlockedClient* const client = redis::BlockClient(ctx, reply, nullptr, free, 0);
  stored.LinkOneAndThen(
      [client, outcome] { redis::UnblockClient(client, new vset::AddOutcome(outcome)); });
  return redis::kOk;
}

}  // namespace

int RunVadd(redis::Ctx* ctx, redis::String** argv, int argc) {
  if (argc < 5) return redis::WrongArity(ctx);
  Arguments arguments(argv, argc);
  AddRequest request;
  if (!TakeVectorPart(arguments, request)) return ReplyError(ctx, kInvalidVector);
  if (arguments.done()) return redis::WrongArity(ctx);
  request.element = arguments.Take();
  if (const char* error = TakeOptions(arguments, request)) return ReplyError(ctx, error);

  OpenedKey key(ctx, argv[1], OpenedKey::Mode::kWrite);
  if (key.wrong_type()) return ReplyWrongType(ctx);
  SharedSet stored = key.set();
  if (!stored) {
    Result<std::unique_ptr<vset::VectorSet>> created = CreateSet(request);
    if (!created) return ReplyError(ctx, "ERR " + created.error().message);
    stored = std::make_shared<StoredSet>(*std::move(created));
  } else if (std::string error = Mismatch(request, stored->set().options()); !error.empty()) {
    return ReplyError(ctx, error);
  }
  const Result<vset::EncodedVector> vector = Encode(request, stored->set().encoding());
  if (!vector) return ReplyError(ctx, kInvalidVector);
  const Result<vset::AddOutcome> added =
      stored->set().Add(request.element, *vector, request.attribute);
  if (!added) return ReplyError(ctx, "ERR " + added.error().message);
  if (key.empty()) key.Put(stored);
  stored->Changed();
  Announce(ctx, "vadd", argv[1]);
  if (stored->set().TailIsFull() && MayBlock(ctx)) return ReplyAfterALink(ctx, *stored, *added);
  return ReplyAdded(ctx, *added);
}

}  // namespace shoal::vset_module
