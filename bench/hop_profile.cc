// Where the time of a search goes: distance, neighbour copy, visited set, candidate list, tag
// check, calls for rows (whose wait is part of the distances' price), rest.
//
//   hop_profile --base ROWS.u8bin --queries Q.u8bin --truth GT [--type f32] [--recall 0.95]
//
// A clock of the searching thread's CPU time interrupts it some hundred times a second and notes
// the instruction it was at; addr2line then tells which functions, inlined ones included, that
// instruction belongs to. Nothing in the library knows of it. Needs a build with line tables
// (cmake -DCMAKE_CXX_FLAGS=-g; the code stays the same) and addr2line.
//
// Beside it, from the same run, the time per distance of the same kernel on rows picked at random:
// what the memory allows.
#include <fmt/format.h>
#include <link.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <atomic>
#include <chrono>
#include <ctime>
#include <map>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "cpu_time.h"
#include "distance/kernels.h"
#include "shoal/dataset.h"
#include "shoal/index.h"
#include "shoal/version.h"
#include "version.h"
#include "worker/worker.h"

namespace shoal::bench {
namespace {

constexpr size_t kK = 10;

// Samples of the instruction pointer of the thread that made it, by its own CPU clock.
class Sampler {
 public:
  struct Sample {
    uintptr_t at;      // Where the thread was,
    uintptr_t caller;  // and the top of its stack: the caller, if `at` is in a leaf of libc.
  };

  explicit Sampler(size_t most) : samples_(most) {
    current_ = this;
    struct sigaction action {};
    action.sa_sigaction = &Sampler::Note;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    sigaction(SIGPROF, &action, nullptr);
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGPROF;
    event._sigev_un._tid = static_cast<pid_t>(syscall(SYS_gettid));
    timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer_);
    // An odd period, lest it keep step with the work.
    const itimerspec period{.it_interval = {0, 997'003}, .it_value = {0, 997'003}};
    timer_settime(timer_, 0, &period, nullptr);
  }
  ~Sampler() {
    timer_delete(timer_);
    current_ = nullptr;
  }
  std::span<const Sample> samples() const { return {samples_.data(), count_}; }

 private:
  static void Note(int, siginfo_t*, void* context) {
    Sampler* self = current_;
    if (self == nullptr || self->count_ == self->samples_.size()) return;
    const greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    const auto stack = static_cast<uintptr_t>(registers[REG_RSP]);
    self->samples_[self->count_++] = {static_cast<uintptr_t>(registers[REG_RIP]),
                                      *reinterpret_cast<const uintptr_t*>(stack)};
  }

  static inline Sampler* current_ = nullptr;
  timer_t timer_{};
  std::vector<Sample> samples_;
  size_t count_ = 0;
};

// This program's own code: [begin, end) in memory, and how far that is from where the file says.
struct Image {
  uintptr_t begin = 0;
  uintptr_t end = 0;
  uintptr_t bias = 0;
  bool Holds(uintptr_t address) const { return address >= begin && address < end; }
};

Image OwnImage() {
  Image image;
  auto note = [](dl_phdr_info* info, size_t, void* to) {
    auto* own = static_cast<Image*>(to);
    own->bias = info->dlpi_addr;
    for (const ElfW(Phdr) & part : std::span(info->dlpi_phdr, info->dlpi_phnum)) {
      if (part.p_type != PT_LOAD || (part.p_flags & PF_X) == 0) continue;
      own->begin = own->bias + part.p_vaddr;
      own->end = own->begin + part.p_memsz;
    }
    return 1;  // The program comes first; its libraries do not matter.
  };
  dl_iterate_phdr(note, &image);
  return image;
}

// What a sample counts for: the first row whose word is in the name of one of the functions that
// the instruction belongs to, innermost function first.
struct Part {
  const char* name;
  std::vector<const char*> words;
};
const std::vector<Part>& Parts() {
  static const std::vector<Part> kParts = {
      {"distance", {"shoal::distance::", "shoal::Scorer::Score"}},
      {"neighbour copy", {"shoal::NeighborLists::"}},
      {"visited set", {"shoal::VisitedSet::"}},
      {"candidate list", {"shoal::CandidateList::"}},
      {"tag check", {"shoal::SlotTable::KeepReadable", "shoal::LiveSet::"}},
      {"calls for rows", {"shoal::RamFeatureStore::PrefetchFront"}},
      {"rest", {""}},
  };
  return kParts;
}

size_t PartOf(const std::vector<std::string>& functions) {
  for (const std::string& function : functions)
    for (size_t part = 0; part + 1 < Parts().size(); ++part)
      for (const char* word : Parts()[part].words)
        if (function.find(word) != std::string::npos) return part;
  return Parts().size() - 1;
}

// The functions at each address, innermost first, as addr2line tells.
std::map<uintptr_t, std::vector<std::string>> Functions(const std::map<uintptr_t, size_t>& counts) {
  char list[] = "/tmp/hop_profile.XXXXXX";
  const int file = mkstemp(list);
  for (const auto& [address, count] : counts) {
    const std::string line = fmt::format("{:#x}\n", address);
    if (write(file, line.data(), line.size()) < 0) break;
  }
  close(file);
  const std::string command =
      fmt::format("addr2line -a -f -i -C -e /proc/{}/exe < {}", getpid(), list);
  std::map<uintptr_t, std::vector<std::string>> functions;
  std::FILE* out = popen(command.c_str(), "r");
  uintptr_t address = 0;
  bool name = true;  // Names and places alternate behind an address.
  for (std::array<char, 4096> line; std::fgets(line.data(), line.size(), out) != nullptr;) {
    const std::string text(line.data());
    if (text.starts_with("0x")) {
      address = std::stoull(text, nullptr, 16);
      name = true;
      continue;
    }
    if (name) functions[address].push_back(text.substr(0, text.find('\n')));
    name = !name;
  }
  pclose(out);
  unlink(list);
  return functions;
}

struct Profile {
  std::vector<size_t> samples = std::vector<size_t>(Parts().size());
  size_t all = 0;
  std::map<std::string, size_t> rest;  // Innermost function -> samples, of the last part.
};

Profile Attribute(std::span<const Sampler::Sample> samples) {
  const Image image = OwnImage();
  Profile profile;
  std::map<uintptr_t, size_t> counts;
  for (const Sampler::Sample& sample : samples) {
    // A return address is behind the call.
    const uintptr_t at = image.Holds(sample.at) ? sample.at : sample.caller - 1;
    ++counts[image.Holds(at) ? at - image.bias : 0];
  }
  const auto functions = Functions(counts);
  for (const auto& [address, count] : counts) {
    auto it = functions.find(address);
    const std::vector<std::string> unknown = {"outside of the program"};
    const auto& names = address == 0 || it == functions.end() ? unknown : it->second;
    const size_t part = PartOf(names);
    profile.samples[part] += count;
    profile.all += count;
    if (part + 1 == Parts().size()) profile.rest[names.front()] += count;
  }
  return profile;
}

// Nanoseconds per distance of the kernel on random rows of as large a memory as the index's rows,
// on huge pages, `batch` at a time.
double GatherNanoseconds(const Rows& rows, ScalarType type, size_t batch) {
  const size_t bytes = rows.rows() * rows.row_bytes();
  constexpr size_t kHuge = size_t{2} << 20;
  void* mapped =
      mmap(nullptr, bytes + kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::runtime_error("gather: no memory");
  auto* memory = reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(mapped) + kHuge - 1) /
                                              kHuge * kHuge);
  madvise(memory, bytes, MADV_HUGEPAGE);
  std::copy_n(rows.data(), bytes, memory);
  std::mt19937_64 random(1);
  std::vector<const std::byte*> picked(size_t{1} << 21);
  for (const std::byte*& row : picked) row = memory + random() % rows.rows() * rows.row_bytes();
  const distance::BatchFn kernel = distance::Active().Batch(distance::Op::kL2, type);
  std::vector<float> out(batch);
  double best = 1e9;
  for (int round = 0; round < 5; ++round) {
    const double start = ThreadCpuSeconds();
    size_t n = 0;
    for (; n + batch <= picked.size(); n += batch)
      kernel(rows[n % rows.rows()], &picked[n], batch, rows.dim(), out.data());
    best = std::min(best, (ThreadCpuSeconds() - start) * 1e9 / static_cast<double>(n));
  }
  munmap(mapped, bytes + kHuge);
  return best;
}

struct Options {
  std::string base, queries, truth;
  std::string type = "f32";
  size_t rows = 0;
  double recall = 0.95;
  size_t degree = 32;
  size_t build_list = 100;
  double seconds = 20;
};

template <class T>
T OrThrow(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

class Job {
 public:
  explicit Job(const Options& options)
      : options_(options),
        element_(options.type == "u8" ? Element::kUint8 : Element::kFloat32),
        type_(options.type == "u8" ? ScalarType::kUint8 : ScalarType::kFloat32),
        rows_(Rows::Read(options.base, element_, options.rows)),
        queries_(Rows::Read(options.queries, element_, 0)),
        index_(OrThrow(
            Index::Create({.dim = static_cast<uint32_t>(rows_.dim()),
                           .scalar_type = type_,
                           .max_degree = static_cast<uint32_t>(options.degree),
                           .build_list_size = static_cast<uint32_t>(options.build_list)}))) {}

  void Run() {
    std::vector<ExternalId> ids(rows_.rows());
    std::iota(ids.begin(), ids.end(), ExternalId{0});
    OrThrow(index_.InsertMany(ids, MatrixView(rows_.data(), type_, rows_.rows(), rows_.dim())));
    const size_t list_size = FindListSize();
    Pass(list_size, nullptr);
    Sampler sampler(1 << 20);
    const double start = ThreadCpuSeconds();
    WorkCounters work;
    size_t searches = 0;
    for (; ThreadCpuSeconds() - start < options_.seconds; searches += queries_.rows())
      work += Pass(list_size, nullptr);
    const double nanoseconds = (ThreadCpuSeconds() - start) * 1e9 / static_cast<double>(searches);
    Print(Attribute(sampler.samples()), work, searches, nanoseconds);
  }

 private:
  // Searches for every query; adds the mean recall of them to `recall` when asked to.
  WorkCounters Pass(size_t list_size, const TruthSet* truth, double* recall = nullptr) {
    WorkCounters sum;
    std::array<ExternalId, kK> found;
    std::array<float, kK> distances;
    const Rounding rounding = RoundingOf(Metric::kL2, type_, queries_.dim());
    for (size_t q = 0; q < queries_.rows(); ++q) {
      WorkCounters work;
      const size_t n =
          OrThrow(index_.Search(VectorView(queries_[q], type_, queries_.dim()),
                                {.k = kK, .search_list_size = list_size}, found, distances, &work));
      sum += work;
      if (truth != nullptr)
        *recall += Recall(*truth, q, std::span(found).first(n), kK,
                          {std::span(distances).first(n), rounding}) /
                   static_cast<double>(queries_.rows());
    }
    return sum;
  }

  // The smallest list size that reaches the recall.
  size_t FindListSize() {
    const TruthSet truth = OrThrow(ReadTruthSet(options_.truth, {.points = rows_.rows()}));
    for (size_t list_size = kK;; list_size += 1 + list_size / 30) {
      double recall = 0;
      Pass(list_size, &truth, &recall);
      if (recall < options_.recall && list_size < 2000) continue;
      fmt::print("{} rows x {} {}, kernels {}, max_degree {}: recall@{} {:.4f} at L = {}\n\n",
                 rows_.rows(), rows_.dim(), options_.type, ActiveIsa(), options_.degree, kK, recall,
                 list_size);
      return list_size;
    }
  }

  void Print(const Profile& profile, const WorkCounters& work, size_t searches,
             double nanoseconds) {
    const double distances = static_cast<double>(work.distances) / static_cast<double>(searches);
    const double hops = static_cast<double>(work.hops) / static_cast<double>(searches);
    fmt::print("| part | share | us per search | ns per distance |\n|---|---|---|---|\n");
    for (size_t part = 0; part < Parts().size(); ++part) {
      const double share =
          static_cast<double>(profile.samples[part]) / static_cast<double>(profile.all);
      fmt::print("| {} | {:.1f} % | {:.2f} | {:.1f} |\n", Parts()[part].name, 100 * share,
                 share * nanoseconds / 1e3, share * nanoseconds / distances);
    }
    fmt::print("| all | 100 % | {:.2f} | {:.1f} |\n\n", nanoseconds / 1e3, nanoseconds / distances);
    const auto batch = static_cast<size_t>(std::max(1.0, std::round(distances / hops)));
    const double gather = GatherNanoseconds(rows_, type_, batch);
    const double scored = static_cast<double>(profile.samples[0]) /
                          static_cast<double>(profile.all) * nanoseconds / distances;
    fmt::print(
        "{} samples; {:.0f} distances and {:.0f} hops per search, {} new rows per hop.\n"
        "The kernel on random rows, {} at a time, huge pages: {:.1f} ns per distance; "
        "in the search: {:.1f} ({:.2f} x).\n",
        profile.all, distances, hops, batch, batch, gather, scored, scored / gather);
    fmt::print("In rest, by function:\n");
    std::vector<std::pair<size_t, std::string>> rest;
    for (const auto& [name, count] : profile.rest) rest.emplace_back(count, name);
    std::sort(rest.rbegin(), rest.rend());
    for (size_t i = 0; i < std::min<size_t>(rest.size(), 8); ++i)
      fmt::print("  {:5.1f} %  {}\n",
                 100.0 * static_cast<double>(rest[i].first) / static_cast<double>(profile.all),
                 rest[i].second.substr(0, 100));
  }

  const Options options_;
  const Element element_;
  const ScalarType type_;
  const Rows rows_;
  const Rows queries_;
  Index index_;
};

}  // namespace
}  // namespace shoal::bench

int main(int argc, char** argv) {
  shoal::bench::Options options;
  CLI::App app("Where the time of a search goes.");
  shoal::bench::AddVersion(app, "hop_profile");
  app.add_option("--base", options.base, "Rows: .fbin or .u8bin")->required();
  app.add_option("--queries", options.queries, "Queries, likewise")->required();
  app.add_option("--truth", options.truth, "Truthset of all rows (of the first --rows)")
      ->required();
  app.add_option("--type", options.type, "f32 or u8")->check(CLI::IsMember({"f32", "u8"}));
  app.add_option("--rows", options.rows, "Rows to index; 0: all");
  app.add_option("--recall", options.recall, "recall@10 to profile at")->capture_default_str();
  app.add_option("--degree", options.degree, "max_degree")->capture_default_str();
  app.add_option("--build_list", options.build_list, "build_list_size")->capture_default_str();
  app.add_option("--seconds", options.seconds, "CPU seconds to sample")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    shoal::bench::Job(options).Run();
  } catch (const std::exception& e) {
    fmt::print(stderr, "hop_profile: {}\n", e.what());
    return 1;
  }
  return 0;
}
