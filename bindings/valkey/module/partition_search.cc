#include "bindings/valkey/module/partition_search.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "bindings/valkey/module/arguments.h"
#include "bindings/valkey/module/pool.h"
#include "bindings/valkey/module/search_options.h"
#include "bindings/valkey/module/set_type.h"

namespace shoal::vset_module {

namespace {

// A partition to be searched.
struct Part {
  uint32_t partition;
  SharedSet set;
  vset::EncodedVector query;
  vset::SearchRequest request;
};

// Shared by the tasks of one search.
struct Job {
  vset::GatherRequest request;
  SearchOptions options;  // Of the request.
  std::vector<Part> parts;
  std::function<void(vset::GatherAnswer)> done;
  std::atomic<size_t> left = 0;  // Tasks.
  std::mutex mutex;
  vset::GatherAnswer answer;  // Under the mutex while tasks run.

  void Search(const Part& part);
  void Finish();
};

SearchOptions OptionsOf(const vset::GatherRequest& request) {
  SearchOptions options{.count = request.count,
                        .ef = request.ef,
                        .epsilon = request.epsilon,
                        .filter_text = request.filter,
                        .exact = request.exact,
                        .with_attributes = request.with_attributes};
  if (request.filter_ef) options.filter_ef = static_cast<size_t>(*request.filter_ef);
  if (request.filter) {
    if (auto filter = vset::FilterExpression::Parse(*request.filter))
      options.filter = *std::move(filter);
  }
  return options;
}

void Job::Search(const Part& part) {
  Result<std::vector<vset::Found>> found = part.set->set().Search(part.query, part.request);
  const std::lock_guard lock(mutex);
  vset::GatherAnswer::Entry& entry = answer.entries[static_cast<size_t>(&part - parts.data())];
  if (!found) {
    entry.problem = found.error().message.substr(0, vset::kMaxProblemBytes);
    return;
  }
  for (vset::Found& hit : *found) {
    if (!request.with_attributes) hit.attribute.clear();
    answer.hits.push_back(
        {part.partition, hit.score, std::move(hit.name), std::move(hit.attribute)});
  }
}

// On the main thread, when all tasks are done.
void Job::Finish() {
  vset::KeepBest(answer.similarity, request.count, answer.hits);
  done(std::move(answer));
}

// Whether the slot of a key that is not here is this node's: the server refuses a call otherwise.
bool ServesSlotOf(redis::Ctx* ctx, redis::String* key) {
  redis::CallReply* reply = redis::Call(ctx, "EXISTS", "s", key);
  if (reply != nullptr) redis::FreeCallReply(reply);
  return reply != nullptr;
}

// What keeps the set from being searched; empty: nothing, and the part has its query.
std::string Prepare(const Job& job, Part& part) {
  const vset::Encoding& encoding = part.set->set().encoding();
  const std::optional<vset::GatherVector>& encoded = job.request.encoded;
  if (encoded && encoded->encoding != encoding.options())
    return "another kind of vectors than the element's";
  if (!encoded && job.request.query.size() != encoding.input_dim())
    return DimensionMismatch(encoding, job.request.query.size());
  const vset::Similarity similarity = encoding.options().similarity;
  if (job.request.epsilon && !IsEpsilonOf(similarity, *job.request.epsilon))
    return "invalid EPSILON";
  if (!job.parts.empty() && similarity != job.answer.similarity)
    return "another distance metric than the others'";
  if (encoded) {
    if (!encoding.Check(encoded->vector)) return "invalid vector specification";
    part.query = encoded->vector;
  } else {
    Result<vset::EncodedVector> query = encoding.Encode(job.request.query);
    if (!query) return "invalid vector specification";
    part.query = *std::move(query);
  }
  part.request = RequestOf(job.options, part.set->set());
  return {};
}

// Notes what there is of one partition here.
void Look(redis::Ctx* ctx, redis::String* name, uint32_t partition, Job& job,
          std::vector<vset::GatherAnswer::Entry>& others) {
  const int flags = redis::GetContextFlags(ctx);
  const bool in_cluster = (flags & redis::kCtxCluster) != 0;
  if (in_cluster && (flags & redis::kCtxMaster) == 0) return;
  const OpenedKey key(ctx, name, OpenedKey::Mode::kRead);
  if (key.wrong_type()) {
    others.push_back({partition, "not a vector set"});
  } else if (key.empty()) {
    if (!in_cluster || ServesSlotOf(ctx, name)) others.push_back({partition, ""});
  } else {
    Part part{.partition = partition, .set = key.set(), .query = {}, .request = {}};
    if (std::string problem = Prepare(job, part); !problem.empty()) {
      others.push_back({partition, std::move(problem)});
    } else {
      job.answer.similarity = part.set->set().options().encoding.similarity;
      job.parts.push_back(std::move(part));
    }
  }
}

}  // namespace

void SearchPartitions(redis::Ctx* ctx, vset::GatherRequest request,
                      std::function<void(vset::GatherAnswer)> done) {
  auto job = std::make_shared<Job>();
  job->answer = {.id = request.id, .partitions = request.partitions};
  job->request = std::move(request);
  job->options = OptionsOf(job->request);
  std::vector<vset::GatherAnswer::Entry> others;
  const std::vector<std::string> tags = vset::PartitionTags(job->request.partitions);
  for (uint32_t partition = 0; partition < tags.size(); ++partition) {
    const std::string text = vset::PartitionKey(job->request.name, tags[partition]);
    redis::String* name = redis::CreateString(ctx, text.data(), text.size());
    Look(ctx, name, partition, *job, others);
    redis::FreeString(ctx, name);
  }
  for (const Part& part : job->parts) job->answer.entries.push_back({part.partition, ""});
  job->done = [others = std::move(others), done = std::move(done)](vset::GatherAnswer answer) {
    answer.entries.insert(answer.entries.end(), others.begin(), others.end());
    std::ranges::sort(answer.entries, {}, &vset::GatherAnswer::Entry::partition);
    done(std::move(answer));
  };
  if (job->parts.empty()) return job->Finish();
  job->left = job->parts.size();
  for (const Part& part : job->parts) {
    Pool::Instance().Post(Pool::Urgency::kSearch, [job, &part] {
      job->Search(part);
      if (job->left.fetch_sub(1) != 1) return;
      const auto finish = [](void* held) {
        const std::unique_ptr<std::shared_ptr<Job>> last(static_cast<std::shared_ptr<Job>*>(held));
        (*last)->Finish();
      };
      redis::EventLoopAddOneShot(finish, new std::shared_ptr<Job>(job));
    });
  }
}

}  // namespace shoal::vset_module
