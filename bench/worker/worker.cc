#include "worker/worker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <thread>
#include <utility>

#include "cpu_time.h"

namespace shoal::bench {
namespace {

using Clock = std::chrono::steady_clock;

double Seconds(Clock::duration d) { return std::chrono::duration<double>(d).count(); }

// A line of /proc/self/smaps_rollup, in bytes: exact, unlike the counters of statm.
uint64_t MappedBytes(std::string_view field) {
  std::ifstream in("/proc/self/smaps_rollup");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(field)) return std::stoull(line.substr(field.size())) * 1024;
  }
  return 0;
}

uint64_t ResidentBytes() {
  malloc_trim(0);
  return MappedBytes("Rss:");
}

struct FileCloser {
  void operator()(std::FILE* f) const { std::fclose(f); }
};
using File = std::unique_ptr<std::FILE, FileCloser>;

std::vector<uint8_t> ReadBytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error(path + ": cannot be read");
  return {std::istreambuf_iterator<char>(in), {}};
}

struct Request {
  std::string verb;
  std::map<std::string, std::string> arguments;

  const std::string& Text(const std::string& key) const {
    auto it = arguments.find(key);
    if (it == arguments.end()) throw std::runtime_error(verb + ": argument missing: " + key);
    return it->second;
  }
  size_t Number(const std::string& key) const { return std::stoull(Text(key)); }
};

Request Parse(const std::string& line) {
  Request request;
  for (size_t begin = 0; begin <= line.size();) {
    const size_t end = std::min(line.find('\t', begin), line.size());
    const std::string word = line.substr(begin, end - begin);
    if (begin == 0) {
      request.verb = word;
    } else if (const size_t eq = word.find('='); eq != std::string::npos) {
      request.arguments[word.substr(0, eq)] = word.substr(eq + 1);
    }
    begin = end + 1;
  }
  return request;
}

Element ParseElement(const std::string& name) {
  if (name == "f32") return Element::kFloat32;
  if (name == "u8") return Element::kUint8;
  if (name == "i8") return Element::kInt8;
  throw std::runtime_error("type: expected f32, u8 or i8, found " + name);
}

struct TimedRun {
  double seconds = 0;
  std::vector<float> latencies_us;  // Of all threads; sorted.
};

// Whole passes over the queries until `seconds` are over, so that every run has the same mix.
TimedRun RunTimed(Engine& engine, const Rows& queries, size_t k, size_t threads, double seconds) {
  std::atomic<size_t> next{0};
  std::atomic<bool> stop{false};
  std::vector<std::vector<float>> latencies(threads);
  const Clock::time_point start = Clock::now();
  auto work = [&](size_t thread) {
    std::vector<uint32_t> ids(k);
    std::vector<float>& mine = latencies[thread];
    mine.reserve(1 << 16);
    while (!stop.load(std::memory_order_relaxed)) {
      const size_t i = next.fetch_add(1, std::memory_order_relaxed) % queries.rows();
      const Clock::time_point before = Clock::now();
      if (i == 0 && Seconds(before - start) >= seconds) {
        stop.store(true, std::memory_order_relaxed);
        break;
      }
      engine.Search(queries[i], k, ids.data());
      mine.push_back(static_cast<float>(Seconds(Clock::now() - before) * 1e6));
    }
  };
  std::vector<std::thread> others;
  for (size_t t = 1; t < threads; ++t) others.emplace_back(work, t);
  work(0);
  for (std::thread& t : others) t.join();
  TimedRun run;
  run.seconds = Seconds(Clock::now() - start);
  for (const std::vector<float>& l : latencies) {
    run.latencies_us.insert(run.latencies_us.end(), l.begin(), l.end());
  }
  std::sort(run.latencies_us.begin(), run.latencies_us.end());
  return run;
}

// work(i) for each i in [begin, end), by several threads. The first error is thrown again.
template <class Work>
void InParallel(size_t threads, size_t begin, size_t end, const Work& work) {
  std::atomic<size_t> next{begin};
  std::vector<std::exception_ptr> errors(threads);
  std::vector<std::thread> workers;
  for (std::exception_ptr& error : errors) {
    workers.emplace_back([&] {
      try {
        for (size_t i; (i = next.fetch_add(1)) < end;) work(i);
      } catch (...) {
        error = std::current_exception();
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
}

class Server {
 public:
  explicit Server(Engine& engine) : engine_(engine) {}

  Reply Answer(const Request& request) {
    using Handler = Reply (Server::*)(const Request&);
    static const std::map<std::string, Handler> kHandlers = {
        {"load", &Server::Load},     {"build", &Server::Build},
        {"save", &Server::Save},     {"open", &Server::Open},
        {"drop", &Server::Drop},     {"answer", &Server::AnswerAll},
        {"search", &Server::Search}, {"memory", &Server::Memory},
        {"slide", &Server::Slide},   {"database", &Server::Database},
    };
    auto it = kHandlers.find(request.verb);
    if (it == kHandlers.end()) throw std::runtime_error("no such verb: " + request.verb);
    return (this->*it->second)(request);
  }

 private:
  Reply Load(const Request& r) {
    const Element element = ParseElement(r.Text("type"));
    rows_ = Rows::Read(r.Text("base"), element, r.Number("rows"));
    queries_ = Rows::Read(r.Text("queries"), element, 0);
    if (r.arguments.contains("code")) engine_.code = r.Text("code");
    if (rows_.dim() != queries_.dim()) throw std::runtime_error("rows and queries differ in dim");
    count_ = rows_.rows();
    Reply reply;
    reply.Set("rows", uint64_t{rows_.rows()}).Set("dim", uint64_t{rows_.dim()});
    engine_.Describe(reply);
    return reply;
  }

  // Runs `action` and accounts for its time and memory.
  template <class Action>
  Reply Measured(Action action) {
    const uint64_t before = ResidentBytes();
    const double cpu = CpuSeconds();
    const Clock::time_point start = Clock::now();
    action();
    Reply reply;
    reply.Set("seconds", Seconds(Clock::now() - start)).Set("cpu_seconds", CpuSeconds() - cpu);
    return reply.Set("rss_before", before).Set("rss_after", ResidentBytes());
  }

  static BuildOptions Options(const Request& r) {
    BuildOptions options{.threads = r.Number("threads"),
                         .degree = r.Number("degree"),
                         .list_size = r.Number("list")};
    if (r.arguments.contains("metric")) options.metric = r.Text("metric");
    return options;
  }
  Reply Build(const Request& r) {
    const BuildOptions options = Options(r);
    Reply reply = Measured([&] { engine_.Build(rows_, options); });
    engine_.Settings(options, reply);
    return reply;
  }
  Reply Open(const Request& r) {
    return Measured([&] { engine_.Open(r.Text("path"), rows_); });
  }
  Reply Save(const Request& r) {
    return Measured([&] { engine_.Save(r.Text("path")); });
  }
  Reply Drop(const Request&) {
    rows_.Free();
    return {};
  }

  Reply AnswerAll(const Request& r) {
    const size_t k = r.Number("k");
    engine_.SetListSize(r.Number("list"));
    std::vector<uint8_t> accepted;
    if (r.arguments.contains("accepted")) accepted = ReadBytes(r.Text("accepted"));
    const size_t width = (count_ + 7) / 8;
    const size_t queries =
        accepted.empty() ? queries_.rows() : std::min(queries_.rows(), accepted.size() / width);
    std::vector<uint32_t> ids(queries * k, kNoId);
    uint64_t distances = 0;
    double cpu = 0;
    for (size_t q = 0; q < queries; ++q) {
      if (!accepted.empty()) {
        engine_.Accept(std::span(accepted).subspan(q * width, width), count_);
        const double before = ThreadCpuSeconds();
        engine_.Search(queries_[q], k, &ids[q * k]);
        cpu += ThreadCpuSeconds() - before;
      }
      engine_.SearchCounted(queries_[q], k, &ids[q * k], distances);
    }
    const File out(std::fopen(r.Text("ids").c_str(), "wb"));
    if (!out || std::fwrite(ids.data(), sizeof(uint32_t), ids.size(), out.get()) != ids.size()) {
      throw std::runtime_error(r.Text("ids") + ": cannot be written");
    }
    const auto searches = static_cast<double>(queries);
    Reply reply;
    reply.Set("distances", static_cast<double>(distances) / searches);
    return reply.Set("cpu_us", 1e6 * cpu / searches);
  }

  Reply Search(const Request& r) {
    engine_.SetListSize(r.Number("list"));
    const double cpu = CpuSeconds();
    const TimedRun run = RunTimed(engine_, queries_, r.Number("k"), r.Number("threads"),
                                  std::stod(r.Text("seconds")));
    const std::vector<float>& l = run.latencies_us;
    auto percentile = [&](double p) {
      return double{l[std::min(l.size() - 1, static_cast<size_t>(p * double(l.size())))]};
    };
    Reply reply;
    reply.Set("qps", static_cast<double>(l.size()) / run.seconds).Set("seconds", run.seconds);
    reply.Set("searches", uint64_t{l.size()}).Set("cpu_seconds", CpuSeconds() - cpu);
    reply.Set("p50_us", percentile(0.5)).Set("p99_us", percentile(0.99));
    return reply.Set("p999_us", percentile(0.999));
  }

  Reply Slide(const Request& r) {
    const BuildOptions options = Options(r);
    const size_t window = r.Number("window"), rows = rows_.rows();
    if (window < 1 || window > rows) throw std::runtime_error("window: expected 1 to all rows");
    engine_.Begin(rows_, window, options);
    InParallel(options.threads, 0, window, [&](size_t i) { engine_.Insert(i, rows_[i]); });
    Reply reply = Measured([&] {
      InParallel(options.threads, window, rows,
                 [&](size_t i) { engine_.Replace(i - window, i, rows_[i]); });
      engine_.Finish();
    });
    engine_.Settings(options, reply);
    return reply;
  }

  Reply Database(const Request& r) {
    Reply reply;
    engine_.FileFigures(queries_, r.Number("list"), r.Number("k"), reply);
    return reply;
  }

  Reply Memory(const Request&) {
    Reply reply;
    reply.Set("rss", ResidentBytes()).Set("huge", MappedBytes("AnonHugePages:"));
    engine_.Memory(reply);
    return reply;
  }

  Engine& engine_;
  size_t count_ = 0;  // Of rows, which may be dropped.
  Rows rows_;
  Rows queries_;
};

std::byte* MapPages(size_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) throw std::runtime_error(fmt::format("no memory for {} bytes", bytes));
  return static_cast<std::byte*>(p);
}

Element ElementOfFile(const std::string& path) {
  if (path.ends_with(".fbin")) return Element::kFloat32;
  if (path.ends_with(".u8bin")) return Element::kUint8;
  if (path.ends_with(".i8bin")) return Element::kInt8;
  throw std::runtime_error(path + ": suffix: expected .fbin, .u8bin or .i8bin");
}

}  // namespace

Rows Rows::Read(const std::string& path, Element element, size_t max_rows) {
  const Element stored = ElementOfFile(path);
  const File in(std::fopen(path.c_str(), "rb"));
  int32_t shape[2] = {};
  if (!in || std::fread(shape, sizeof shape, 1, in.get()) != 1) {
    throw std::runtime_error(path + ": cannot be read");
  }
  Rows rows;
  rows.rows_ = static_cast<size_t>(shape[0]);
  if (max_rows > 0) rows.rows_ = std::min(rows.rows_, max_rows);
  rows.dim_ = static_cast<size_t>(shape[1]);
  rows.element_ = element;
  rows.bytes_ = rows.rows_ * rows.row_bytes();
  rows.data_ = MapPages(rows.bytes_);
  const bool widen = element == Element::kFloat32 && stored != Element::kFloat32;
  if (!widen && element != stored)
    throw std::runtime_error(path + ": is not of the type asked for");
  std::vector<uint8_t> narrow(rows.dim_);
  for (size_t i = 0; i < rows.rows_; ++i) {
    std::byte* to = rows.data_ + i * rows.row_bytes();
    void* into = widen ? static_cast<void*>(narrow.data()) : to;
    if (std::fread(into, widen ? narrow.size() : rows.row_bytes(), 1, in.get()) != 1) {
      throw std::runtime_error(fmt::format("{}: ends in row {}", path, i));
    }
    for (size_t d = 0; widen && d < rows.dim_; ++d) {
      const float value = stored == Element::kUint8
                              ? static_cast<float>(narrow[d])
                              : static_cast<float>(static_cast<int8_t>(narrow[d]));
      std::memcpy(to + d * sizeof value, &value, sizeof value);
    }
  }
  return rows;
}

Rows& Rows::operator=(Rows&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(rows_, other.rows_);
  std::swap(dim_, other.dim_);
  std::swap(element_, other.element_);
  return *this;
}

void Rows::Free() {
  if (data_ != nullptr) munmap(data_, bytes_);
  data_ = nullptr;
  rows_ = bytes_ = 0;
}

void Reply::Key(std::string_view key) {
  if (!members_.empty()) members_ += ", ";
  members_ += fmt::format("\"{}\": ", key);
}
Reply& Reply::Set(std::string_view key, double value) {
  Key(key);
  members_ += fmt::format("{}", value);
  return *this;
}
Reply& Reply::Set(std::string_view key, uint64_t value) {
  Key(key);
  members_ += fmt::format("{}", value);
  return *this;
}
Reply& Reply::Set(std::string_view key, std::string_view value) {
  Key(key);
  members_ += '"';
  for (char c : value) {
    if (c == '"' || c == '\\') members_ += '\\';
    members_ += c == '\n' ? ' ' : c;
  }
  members_ += '"';
  return *this;
}

int Serve(Engine& engine) {
  Server server(engine);
  for (std::string line; std::getline(std::cin, line) && line != "quit";) {
    std::string answer;
    try {
      const double cpu = CpuSeconds();
      Reply reply = server.Answer(Parse(line));
      answer = reply.Set("request_cpu_seconds", CpuSeconds() - cpu).Json();
    } catch (const std::exception& e) {
      answer = Reply().Set("error", std::string_view(e.what())).Json();
    }
    std::cout << answer << std::endl;
  }
  return 0;
}

}  // namespace shoal::bench
