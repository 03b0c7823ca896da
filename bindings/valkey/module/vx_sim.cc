// VX.SIM name partitions (ELE element | FP32 blob | VALUES n v1 .. vn | XI8 blob | XU8 blob)
//   [DEADLINE ms] [options of VSIM]
//
// Finds the nearest elements of all partitions of a set (core/gather.h), wherever in the cluster
// they are. The node that is asked sends the request to every master over the cluster's own bus,
// searches its own partitions meanwhile, and replies when all partitions have been searched, when
// all that could be asked have answered, or at the deadline: the hits, and the partitions that were
// not searched, with the reason. An element's vector it takes from its own key; if that is
// elsewhere, it asks all masters for the vector first.
//
// Messages are fire and forget, and not authenticated beyond what the bus does (tls-cluster). So an
// answer counts only if its id, a random number, is that of a search that waits, and comes from a
// node that was asked; parsing trusts nothing; both sides limit how much they do at a time.
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <string>
#include <utility>

#include "bindings/valkey/core/gather.h"
#include "bindings/valkey/module/arguments.h"
#include "bindings/valkey/module/command.h"
#include "bindings/valkey/module/partition_search.h"
#include "bindings/valkey/module/search_options.h"
#include "bindings/valkey/module/set_type.h"
#include "bindings/valkey/module/settings.h"

namespace shoal::vset_module {

namespace {

// Types of messages: the server keeps those of modules apart, but not of all modules.
constexpr uint8_t kRequestType = 0x53;
constexpr uint8_t kAnswerType = 0x54;
constexpr uint8_t kElementType = 0x55;
constexpr uint8_t kVectorType = 0x56;
constexpr long long kDefaultDeadline = 1000;  // Milliseconds.
constexpr long long kMaxDeadline = 60000;
// Searches that wait, and requests of other nodes that are worked on, at a time.
constexpr size_t kMaxWaiting = 1024;
constexpr size_t kMaxServed = 256;
constexpr char kNoElement[] = "ERR element not found in set";

// A search whose client waits.
struct Waiting {
  Waiting(const vset::GatherRequest& request, SearchOptions chosen, long long deadline)
      : id(request.id),
        gathering(request.partitions, request.count),
        options(std::move(chosen)),
        ms(deadline) {}

  uint64_t id;
  vset::Gathering gathering;
  SearchOptions options;
  long long ms;
  redis::BlockedClient* client = nullptr;
  redis::TimerId timer = 0;
  std::set<std::string> asked = {};  // Nodes that have not answered; "" is this one.
  std::string otherwise = {};        // Why partitions are missing that no node has spoken of.
  // The search that begins when the element's vector is there; nullopt: it has begun.
  std::optional<vset::GatherRequest> later = std::nullopt;
  bool has_no_element = false;
};

// Of this process. Main thread.
struct State {
  redis::Ctx* ctx = nullptr;  // Never freed: to send with.
  std::map<uint64_t, std::unique_ptr<Waiting>> waiting;
  size_t served = 0;
};

State& CurrentState() {
  static auto* const state = new State;
  return *state;
}

uint64_t NewId() {
  static auto* const device = new std::random_device;
  return uint64_t{(*device)()} << 32 | (*device)();
}

int ReplyGathered(redis::Ctx* ctx, redis::String**, int) {
  const auto& waiting = *static_cast<Waiting*>(redis::GetBlockedClientPrivateData(ctx));
  if (waiting.has_no_element) return ReplyError(ctx, kNoElement);
  std::vector<HitView> hits;
  for (const vset::GatherHit& hit : waiting.gathering.hits())
    hits.push_back({hit.name, hit.score, hit.attribute});
  redis::ReplyWithArray(ctx, 2);
  ReplyHits(ctx, waiting.options, hits);
  const auto missing = waiting.gathering.missing(waiting.otherwise);
  redis::ReplyWithArray(ctx, static_cast<long>(missing.size()));
  for (const auto& [partition, reason] : missing) {
    redis::ReplyWithArray(ctx, 2);
    redis::ReplyWithLongLong(ctx, partition);
    ReplyBytes(ctx, reason);
  }
  return redis::kOk;
}

void FreeWaiting(redis::Ctx*, void* waiting) { delete static_cast<Waiting*>(waiting); }

// The client gets its reply.
void Finish(uint64_t id, std::string otherwise) {
  State& state = CurrentState();
  const auto found = state.waiting.find(id);
  Waiting* const waiting = found->second.release();
  state.waiting.erase(found);
  waiting->otherwise = std::move(otherwise);
  redis::UnblockClient(waiting->client, waiting);
}

void TakeAnswer(const std::string& node, vset::GatherAnswer answer) {
  State& state = CurrentState();
  const uint64_t id = answer.id;
  const auto found = state.waiting.find(id);
  if (found == state.waiting.end() || found->second->later) return;
  if (found->second->asked.erase(node) == 0) return;
  Waiting& waiting = *found->second;
  waiting.gathering.Take(std::move(answer));
  if (!waiting.gathering.is_complete() && !waiting.asked.empty()) return;
  redis::StopTimer(state.ctx, waiting.timer, nullptr);
  Finish(id, "no node that can be reached serves it");
}

void ReachDeadline(redis::Ctx*, void* data) {
  const auto* const waiting = static_cast<Waiting*>(data);  // Until its timer is stopped.
  Finish(waiting->id, "no answer within " + std::to_string(waiting->ms) + " ms");
}

bool Send(const std::string& node, uint8_t type, const std::string& message) {
  return redis::SendClusterMessage(CurrentState().ctx, node.c_str(), type, message.data(),
                                   static_cast<uint32_t>(message.size())) == redis::kOk;
}

// Every other master that is not known to be dead gets the message.
void AskMasters(uint8_t type, const std::string& message, Waiting& waiting) {
  redis::Ctx* const ctx = CurrentState().ctx;
  if ((redis::GetContextFlags(ctx) & redis::kCtxCluster) == 0) return;
  size_t count = 0;
  char** nodes = redis::GetClusterNodesList(ctx, &count);
  if (nodes == nullptr) return;
  for (size_t i = 0; i < count; ++i) {
    const std::string node(nodes[i], redis::kNodeIdBytes);
    int flags = 0;
    if (redis::GetClusterNodeInfo(ctx, node.c_str(), nullptr, nullptr, nullptr, &flags) !=
        redis::kOk)
      continue;
    constexpr int kNotAsked = redis::kNodeMyself | redis::kNodeFailing;
    if ((flags & redis::kNodeMaster) == 0 || (flags & kNotAsked) != 0) continue;
    if (Send(node, type, message)) waiting.asked.insert(node);
  }
  redis::FreeClusterNodesList(nodes);
}

// The search of a client that waits: here, and at the other nodes.
void Search(redis::Ctx* ctx, vset::GatherRequest request, Waiting& waiting) {
  waiting.asked = {""};
  AskMasters(kRequestType, vset::Encode(request), waiting);
  SearchPartitions(ctx, std::move(request),
                   [](vset::GatherAnswer answer) { TakeAnswer("", std::move(answer)); });
}

// The vector of an element, if its key is here.
std::optional<vset::GatherVector> VectorHere(redis::Ctx* ctx, const vset::ElementRequest& request) {
  const uint32_t partition = vset::PartitionOf(request.element, request.partitions);
  const std::string text =
      vset::PartitionKey(request.name, vset::PartitionTags(request.partitions)[partition]);
  redis::String* const name = redis::CreateString(ctx, text.data(), text.size());
  std::optional<vset::GatherVector> found;
  {
    const OpenedKey key(ctx, name, OpenedKey::Mode::kRead);
    if (key.set() != nullptr) {
      const vset::VectorSet& set = key.set()->set();
      if (std::optional<vset::EncodedVector> vector = set.Vector(request.element))
        found = {set.options().encoding, *std::move(vector)};
    }
  }
  redis::FreeString(ctx, name);
  return found;
}

void ReceiveElementRequest(redis::Ctx* ctx, const char* sender, uint8_t,
                           const unsigned char* payload, uint32_t bytes) {
  const Result<vset::ElementRequest> request =
      vset::ParseElementRequest(std::as_bytes(std::span(payload, bytes)));
  if (!request) return redis::Log(ctx, "warning", "VX.SIM: %s", request.error().message.c_str());
  Send(std::string(sender, redis::kNodeIdBytes), kVectorType,
       vset::Encode(vset::ElementAnswer{.id = request->id, .vector = VectorHere(ctx, *request)}));
}

void ReceiveVector(redis::Ctx* ctx, const char* sender, uint8_t, const unsigned char* payload,
                   uint32_t bytes) {
  Result<vset::ElementAnswer> answer =
      vset::ParseElementAnswer(std::as_bytes(std::span(payload, bytes)));
  if (!answer) return redis::Log(ctx, "warning", "VX.SIM: %s", answer.error().message.c_str());
  State& state = CurrentState();
  const auto found = state.waiting.find(answer->id);
  if (found == state.waiting.end() || !found->second->later) return;
  Waiting& waiting = *found->second;
  if (waiting.asked.erase(std::string(sender, redis::kNodeIdBytes)) == 0) return;
  if (answer->vector) {
    vset::GatherRequest request = *std::exchange(waiting.later, std::nullopt);
    request.encoded = std::move(answer->vector);
    return Search(ctx, std::move(request), waiting);
  }
  if (!waiting.asked.empty()) return;
  redis::StopTimer(state.ctx, waiting.timer, nullptr);
  waiting.has_no_element = true;
  Finish(answer->id, "");
}

void ReceiveRequest(redis::Ctx* ctx, const char* sender, uint8_t, const unsigned char* payload,
                    uint32_t bytes) {
  Result<vset::GatherRequest> request =
      vset::ParseRequest(std::as_bytes(std::span(payload, bytes)));
  if (!request) return redis::Log(ctx, "warning", "VX.SIM: %s", request.error().message.c_str());
  const std::string node(sender, redis::kNodeIdBytes);
  if (CurrentState().served == kMaxServed) {
    Send(node, kAnswerType,
         vset::Encode(vset::GatherAnswer{.id = request->id,
                                         .partitions = request->partitions,
                                         .problem = "the node has too many requests"}));
    return;
  }
  ++CurrentState().served;
  SearchPartitions(ctx, *std::move(request), [node](vset::GatherAnswer answer) {
    --CurrentState().served;
    std::string message = vset::Encode(answer);
    if (message.size() > vset::kMaxGatherBytes) {
      answer.hits.clear();
      for (vset::GatherAnswer::Entry& entry : answer.entries)
        entry.problem = "the node's hits are too long for a message";
      message = vset::Encode(answer);
    }
    Send(node, kAnswerType, message);
  });
}

void ReceiveAnswer(redis::Ctx* ctx, const char* sender, uint8_t, const unsigned char* payload,
                   uint32_t bytes) {
  Result<vset::GatherAnswer> answer = vset::ParseAnswer(std::as_bytes(std::span(payload, bytes)));
  if (!answer) return redis::Log(ctx, "warning", "VX.SIM: %s", answer.error().message.c_str());
  TakeAnswer(std::string(sender, redis::kNodeIdBytes), *std::move(answer));
}

// Whether the client may read every partition's key.
bool MayRead(redis::Ctx* ctx, const vset::GatherRequest& request) {
  redis::String* const name = redis::GetCurrentUserName(ctx);
  redis::User* const user = redis::GetModuleUserFromUserName(name);
  redis::FreeString(ctx, name);
  if (user == nullptr) return false;
  bool may = true;
  for (const std::string& tag : vset::PartitionTags(request.partitions)) {
    const std::string text = vset::PartitionKey(request.name, tag);
    redis::String* const key = redis::CreateString(ctx, text.data(), text.size());
    may = may && redis::ACLCheckKeyPermissions(user, key, static_cast<int>(redis::kKeyAccess)) ==
                     redis::kOk;
    redis::FreeString(ctx, key);
  }
  redis::FreeModuleUser(user);
  return may;
}

// Name, partitions, vector or element. Empty, or the error.
std::string TakeQuery(Arguments& arguments, std::string_view name, vset::GatherRequest& request,
                      std::optional<std::string>& element) {
  if (!vset::IsPartitionedName(name)) return "ERR invalid name: no braces expected";
  const std::optional<long long> partitions = arguments.TakeInteger();
  if (!partitions || *partitions < 1 || *partitions > vset::kMaxPartitions)
    return "ERR invalid number of partitions: 1 to 1024 expected";
  request.name = name;
  request.partitions = static_cast<uint32_t>(*partitions);
  if (arguments.left() >= 2 && arguments.TakeWord("ELE")) {
    element = arguments.Take();
    return {};
  }
  std::optional<std::vector<float>> query = TakeVector(arguments);
  if (!query) return "ERR invalid vector specification";
  request.query = *std::move(query);
  return {};
}

std::string TakeOptions(Arguments& arguments, SearchOptions& options, long long& deadline) {
  while (!arguments.done()) {
    if (arguments.left() >= 2 && arguments.TakeWord("DEADLINE")) {
      const std::optional<long long> ms = arguments.TakeInteger();
      if (!ms || *ms < 1 || *ms > kMaxDeadline) return "ERR invalid DEADLINE";
      deadline = *ms;
      continue;
    }
    const std::optional<std::string> error = TakeSearchOption(arguments, options);
    if (!error) return "ERR syntax error in VX.SIM command";
    if (!error->empty()) return *error;
  }
  if (options.count > vset::kMaxGatherCount) return "ERR invalid COUNT";
  if (options.epsilon && !std::isfinite(*options.epsilon)) return "ERR invalid EPSILON";
  if (options.similarity) return "ERR syntax error in VX.SIM command";
  return {};
}

void Complete(const SearchOptions& options, vset::GatherRequest& request) {
  request.id = NewId();
  request.count = static_cast<uint32_t>(options.count);
  request.ef =
      static_cast<uint32_t>(options.ef.value_or(static_cast<size_t>(CurrentSettings().default_ef)));
  request.epsilon = options.epsilon;
  request.filter = options.filter_text;
  request.filter_ef = options.filter_ef;
  request.exact = options.exact;
  request.with_attributes = options.with_attributes;
}

}  // namespace

void ReceiveGatherMessages(redis::Ctx* ctx) {
  CurrentState().ctx = redis::GetDetachedThreadSafeContext(ctx);
  redis::RegisterClusterMessageReceiver(ctx, kRequestType, ReceiveRequest);
  redis::RegisterClusterMessageReceiver(ctx, kAnswerType, ReceiveAnswer);
  redis::RegisterClusterMessageReceiver(ctx, kElementType, ReceiveElementRequest);
  redis::RegisterClusterMessageReceiver(ctx, kVectorType, ReceiveVector);
}

int RunVxSim(redis::Ctx* ctx, redis::String** argv, int argc) {
  if (argc < 5) return redis::WrongArity(ctx);
  if (!MayBlock(ctx))
    return ReplyError(ctx, "ERR VX.SIM is not possible in transactions and scripts");
  Arguments arguments(argv, argc);
  vset::GatherRequest request;
  SearchOptions options;
  long long deadline = kDefaultDeadline;
  std::optional<std::string> element;
  if (std::string error = TakeQuery(arguments, View(argv[1]), request, element); !error.empty())
    return ReplyError(ctx, error);
  if (std::string error = TakeOptions(arguments, options, deadline); !error.empty())
    return ReplyError(ctx, error);
  if (!MayRead(ctx, request))
    return ReplyError(ctx, "NOPERM No permissions to access a key of a partition");
  State& state = CurrentState();
  if (state.waiting.size() == kMaxWaiting) return ReplyError(ctx, "ERR too many VX.SIM at a time");
  Complete(options, request);

  auto waiting = std::make_unique<Waiting>(request, std::move(options), deadline);
  if (element) {
    const vset::ElementRequest wanted{request.id, request.partitions, request.name, *element};
    request.encoded = VectorHere(ctx, wanted);
    if (!request.encoded) AskMasters(kElementType, vset::Encode(wanted), *waiting);
    if (!request.encoded && waiting->asked.empty()) return ReplyError(ctx, kNoElement);
  }
  const bool has_query = !element || request.encoded;
  waiting->client = redis::BlockClient(ctx, ReplyGathered, nullptr, FreeWaiting, 0);
  waiting->timer = redis::CreateTimer(ctx, deadline, ReachDeadline, waiting.get());
  Waiting& held = *(state.waiting[request.id] = std::move(waiting));
  if (has_query) {
    Search(ctx, std::move(request), held);
  } else {
    held.later = std::move(request);
  }
  return redis::kOk;
}

}  // namespace shoal::vset_module
