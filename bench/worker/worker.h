// One engine under test in a process of its own, driven over stdin and stdout by compare.py.
//
// A request is one line: a verb and `key=value` arguments, separated by tabs. The answer is one
// line, a JSON object; with a member "error" when the request failed, with the CPU time that it
// took otherwise. stderr is free for chatter.
//
//   load    base= queries= type=f32|u8|i8 rows=0 [code=]
//                                                  read rows (0: all) and queries; how the engine
//                                                  is to compress rows, in its own words
//   build   threads= degree= list= [metric=]       index the rows -> seconds, cpu_seconds, rss_*,
//                                                  set_*: the settings in the engine's words
//   save    path=  /  open path=                   the index, where the engine can
//   drop                                           give the rows' memory back
//   answer  list= k= ids=PATH [accepted=PATH]      every query once, untimed: results as uint32 to
//                                                  PATH (row-major, kNoId pads) -> distances; with
//                                                  a file of bits, a bit for each row and query
//                                                  (whole bytes a query, lowest bit first): of so
//                                                  many queries, of what has a bit -> cpu_us of a
//                                                  search
//   search  list= k= threads= seconds=             timed whole passes -> qps, p50_us, ...
//   slide   window= threads= degree= list=         in place of build: an index of the first
//   `window`
//                                                  rows, through which the others pass one by one;
//                                                  timed from the full window until all work
//                                                  has ended -> as build
//   database list= k=                              of an engine that keeps its index in a file: how
//                                                  soon it opens, bytes, filters; then the queries
//                                                  come as points. The last request
//   memory                                         resident and huge-page bytes, own accounts
//   quit
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace shoal::bench {

inline constexpr uint32_t kNoId = 0xffffffffu;

enum class Element : uint8_t { kFloat32, kUint8, kInt8 };

// rows x dim elements, row-major, in pages of their own: freeing them gives the pages back.
class Rows {
 public:
  // Reads the first `max_rows` rows (0: all) of a .fbin, .u8bin or .i8bin, converted to `element`.
  // Ends the process with a message when it cannot.
  static Rows Read(const std::string& path, Element element, size_t max_rows);

  Rows() = default;
  Rows(Rows&& other) noexcept { *this = std::move(other); }
  Rows& operator=(Rows&& other) noexcept;
  ~Rows() { Free(); }
  void Free();

  const std::byte* operator[](size_t row) const { return data_ + row * row_bytes(); }
  const std::byte* data() const { return data_; }
  size_t rows() const { return rows_; }
  size_t dim() const { return dim_; }
  size_t row_bytes() const { return dim_ * (element_ == Element::kFloat32 ? 4 : 1); }
  Element element() const { return element_; }

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
  size_t rows_ = 0;
  size_t dim_ = 0;
  Element element_ = Element::kFloat32;
};

// A JSON object in the making.
class Reply {
 public:
  Reply& Set(std::string_view key, double value);
  Reply& Set(std::string_view key, uint64_t value);
  Reply& Set(std::string_view key, std::string_view value);
  std::string Json() const { return "{" + members_ + "}"; }

 private:
  void Key(std::string_view key);
  std::string members_;
};

struct BuildOptions {
  size_t threads = 1;
  // Most edges of a point on the (lowest) layer.
  size_t degree = 32;
  // ef_construction, L.
  size_t list_size = 200;
  // "l2" or "inner_product"; an engine that has not the other refuses it.
  std::string metric = "l2";
};

// What an engine has to do. Functions that fail throw std::runtime_error; Search may be called
// from several threads at once, the others may not.
class Engine {
 public:
  virtual ~Engine() = default;
  std::string code;  // Set before Build or Open; empty: rows are not compressed.
  // Version, instruction set: what a reader of the results wants to know.
  virtual void Describe(Reply& reply) const = 0;
  virtual void Build(const Rows& rows, const BuildOptions& options) = 0;
  // What the engine calls those options: members "set_...".
  virtual void Settings(const BuildOptions& options, Reply& reply) const = 0;
  virtual void Save(const std::string& path) const = 0;
  // `shape` has the element type and the dimension of the rows that the index was built from.
  virtual void Open(const std::string& path, const Rows& shape) = 0;
  // Called before searches with another list size.
  virtual void SetListSize(size_t list_size) = 0;
  // Searches that follow return rows with a bit in `accepted`, the lowest bit first; it stays.
  virtual void Accept(std::span<const uint8_t> /*accepted*/, size_t /*rows*/) {
    throw std::runtime_error("accepted: this engine has no filters");
  }
  // Row numbers of the k nearest, nearest first; returns how many.
  virtual size_t Search(const std::byte* query, size_t k, uint32_t* ids) = 0;
  // The same, and adds the distances that it computed.
  virtual size_t SearchCounted(const std::byte* query, size_t k, uint32_t* ids,
                               uint64_t& distances) = 0;
  // Windows that slide, for engines that delete: an empty index for `window` rows like those of
  // `shape`; then a row comes, or comes in the place of one that leaves, from any thread; then what
  // that has put off.
  virtual void Begin(const Rows& /*shape*/, size_t /*window*/, const BuildOptions& /*options*/) {
    throw std::runtime_error("slide: this engine has no windows");
  }
  virtual void Insert(size_t /*id*/, const std::byte* /*row*/) {}
  virtual void Replace(size_t /*leaving*/, size_t /*id*/, const std::byte* /*row*/) {}
  virtual void Finish() {}
  // The figures of a file, for engines that have one: open_ms, file_bytes_a_point, points,
  // filter_1_percent_us, filter_1_percent_recall, filter_10_..., added, add_seconds,
  // written_bytes_an_add.
  virtual void FileFigures(const Rows& /*queries*/, size_t /*list_size*/, size_t /*k*/, Reply&) {
    throw std::runtime_error("database: this engine has no file");
  }
  // The engine's own accounts of its memory, if it has any.
  virtual void Memory(Reply&) const {}
};

// Answers requests until quit or end of input. Returns the exit status.
int Serve(Engine& engine);

}  // namespace shoal::bench
