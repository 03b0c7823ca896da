#include "serialize.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <new>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "vector_set_impl.h"

namespace shoal::vset {
namespace {

static_assert(std::endian::native == std::endian::little, "the layout is the machine's");

constexpr std::string_view kMagic("SHOALVS\0", 8);
constexpr size_t kSectionBytes = size_t{256} << 10;  // Elements are gathered up to so many.
constexpr size_t kReadStep = size_t{1} << 20;  // Most memory that is taken before it is filled.
constexpr uint32_t kRequired = 1;

constexpr uint32_t Tag(std::string_view name) {
  return static_cast<uint32_t>(name[0]) | static_cast<uint32_t>(name[1]) << 8 |
         static_cast<uint32_t>(name[2]) << 16 | static_cast<uint32_t>(name[3]) << 24;
}
constexpr uint32_t kConf = Tag("CONF");
constexpr uint32_t kElem = Tag("ELEM");
constexpr uint32_t kDone = Tag("DONE");

struct SectionHeader {
  uint32_t tag = 0;
  uint32_t flags = 0;
  uint64_t bytes = 0;
};
static_assert(sizeof(SectionHeader) == 16);

struct Conf {
  uint32_t dim = 0;
  uint32_t input_dim = 0;
  uint32_t quantization = 0;
  uint32_t similarity = 0;
  uint32_t links = 0;
  uint32_t build_ef = 0;
  uint64_t elements = 0;
};
static_assert(sizeof(Conf) == 32);

struct StoredElement {
  uint32_t name_bytes = 0;
  uint32_t attribute_bytes = 0;
  float norm = 0;
  float range = 0;
};
static_assert(sizeof(StoredElement) == 16);

struct Done {
  uint64_t elements = 0;
  uint64_t checksums = 0;
};
static_assert(sizeof(Done) == 16);

// That of all checksums so far, with one more.
uint64_t Chain(uint64_t chain, uint64_t checksum) {
  return XXH3_64bits_withSeed(&checksum, sizeof(checksum), chain);
}

tl::unexpected<Error> Damaged(std::string message) {
  return MakeError(ErrorCode::kCorrupt, "vector set: " + std::move(message));
}

// A section that is being made, and all that were written.
class Writer {
 public:
  explicit Writer(const Sink& sink) : sink_(sink) {}

  void Begin(uint32_t tag) {
    section_.clear();
    Append(&tag, sizeof(tag));
    Append(&kRequired, sizeof(kRequired));
    const uint64_t unknown = 0;
    Append(&unknown, sizeof(unknown));
  }
  void Append(const void* data, size_t bytes) {
    section_.append(static_cast<const char*>(data), bytes);
  }
  void Append(std::string_view text) { Append(text.data(), text.size()); }
  size_t size() const { return section_.size(); }
  bool is_empty() const { return section_.size() == sizeof(SectionHeader); }

  void End() {
    const uint64_t bytes = section_.size() - sizeof(SectionHeader);
    std::memcpy(section_.data() + offsetof(SectionHeader, bytes), &bytes, sizeof(bytes));
    const uint64_t checksum = XXH3_64bits(section_.data(), section_.size());
    checksums_ = Chain(checksums_, checksum);
    Append(&checksum, sizeof(checksum));
    Put(section_);
  }
  void Put(std::string_view bytes) {
    is_good_ = is_good_ && sink_(std::as_bytes(std::span(bytes)));
  }
  uint64_t checksums() const { return checksums_; }
  bool is_good() const { return is_good_; }

 private:
  const Sink& sink_;
  std::string section_;
  uint64_t checksums_ = 0;
  bool is_good_ = true;  // The sink has taken everything.
};

void AppendElement(const ElementView& element, Writer& writer) {
  const StoredElement header{.name_bytes = static_cast<uint32_t>(element.name.size()),
                             .attribute_bytes = static_cast<uint32_t>(element.attribute.size()),
                             .norm = element.vector.norm,
                             .range = element.vector.range};
  writer.Append(&header, sizeof(header));
  writer.Append(element.name);
  writer.Append(element.attribute);
  writer.Append(element.vector.bytes.data(), element.vector.bytes.size());
}

// What is left of a payload.
class Payload {
 public:
  explicit Payload(std::span<const std::byte> bytes) : bytes_(bytes) {}
  bool is_empty() const { return bytes_.empty(); }
  bool Take(size_t size, std::span<const std::byte>& taken) {
    if (bytes_.size() < size) return false;
    taken = bytes_.first(size);
    bytes_ = bytes_.subspan(size);
    return true;
  }
  template <class T>
  bool Take(T& value) {
    std::span<const std::byte> taken;
    if (!Take(sizeof(T), taken)) return false;
    std::memcpy(&value, taken.data(), sizeof(T));
    return true;
  }

 private:
  std::span<const std::byte> bytes_;
};

std::string_view Text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

Status Save(const VectorSet& set, const Sink& sink) {
  Writer writer(sink);
  std::string start(kMagic);
  start.append(reinterpret_cast<const char*>(&kFormatVersion), sizeof(kFormatVersion));
  writer.Put(start);

  const VectorSetOptions& options = set.options();
  const EncodingOptions& encoding = options.encoding;
  const Conf conf{.dim = encoding.dim,
                  .input_dim = encoding.input_dim,
                  .quantization = static_cast<uint32_t>(encoding.quantization),
                  .similarity = static_cast<uint32_t>(encoding.similarity),
                  .links = options.links,
                  .build_ef = options.build_ef,
                  .elements = set.size()};
  writer.Begin(kConf);
  writer.Append(&conf, sizeof(conf));
  writer.End();

  Done done;
  writer.Begin(kElem);
  set.ForEach([&](const ElementView& element) {
    AppendElement(element, writer);
    ++done.elements;
    if (writer.size() < kSectionBytes) return;
    writer.End();
    writer.Begin(kElem);
  });
  if (!writer.is_empty()) writer.End();

  done.checksums = writer.checksums();
  writer.Begin(kDone);
  writer.Append(&done, sizeof(done));
  writer.End();
  if (!writer.is_good()) return MakeError(ErrorCode::kIo, "vector set: the sink has failed");
  if (done.elements != set.size())
    return MakeError(ErrorCode::kIo, "vector set: a vector could not be read");
  return {};
}

class SetLoader {
 public:
  SetLoader(const Source& source, const LoadOptions& options)
      : source_(source), options_(options) {}

  Result<std::unique_ptr<VectorSet>> Run() {
    if (Status start = ReadStart(); !start) return tl::unexpected(start.error());
    for (bool is_done = false; !is_done;) {
      const uint64_t checksums = checksums_;
      Result<SectionHeader> section = ReadSection();
      if (!section) return tl::unexpected(section.error());
      is_done = section->tag == kDone;
      Status used = UseSection(*section, checksums);
      if (!used) return tl::unexpected(used.error());
    }
    std::byte more{};
    if (source_({&more, 1}) != 0) return Damaged("nothing behind section DONE expected");
    if (Status linked = Link(); !linked) return tl::unexpected(linked.error());
    return std::move(set_);
  }

 private:
  bool ReadExactly(std::span<std::byte> bytes) {
    while (!bytes.empty()) {
      const size_t got = source_(bytes);
      if (got == 0 || got > bytes.size()) return false;
      bytes = bytes.subspan(got);
    }
    return true;
  }
  template <class T>
  bool ReadValue(T& value) {
    return ReadExactly(std::as_writable_bytes(std::span(&value, 1)));
  }

  Status ReadStart() {
    std::array<char, kMagic.size()> magic{};
    uint32_t version = 0;
    if (!ReadValue(magic) || std::string_view(magic.data(), magic.size()) != kMagic)
      return Damaged("it does not begin as one");
    if (!ReadValue(version)) return Damaged("cut off in the version");
    if (version != kFormatVersion) {
      return MakeError(ErrorCode::kUnsupported, "vector set: version " +
                                                    std::to_string(kFormatVersion) +
                                                    " expected, found " + std::to_string(version));
    }
    return {};
  }

  // Into payload_, which grows as bytes arrive.
  Result<SectionHeader> ReadSection() {
    SectionHeader header;
    if (!ReadValue(header)) return Damaged("cut off in a section's header");
    const std::string name = "section " + NameOf(header.tag);
    payload_.clear();
    while (payload_.size() < header.bytes) {
      const size_t at = payload_.size();
      payload_.resize(at + static_cast<size_t>(std::min<uint64_t>(kReadStep, header.bytes - at)));
      if (!ReadExactly(std::span(payload_).subspan(at))) return Damaged(name + ": cut off");
    }
    uint64_t checksum = 0;
    if (!ReadValue(checksum)) return Damaged(name + ": cut off in its checksum");
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    XXH3_64bits_update(&state, &header, sizeof(header));
    XXH3_64bits_update(&state, payload_.data(), payload_.size());
    if (XXH3_64bits_digest(&state) != checksum)
      return Damaged(name + ": another checksum expected");
    checksums_ = Chain(checksums_, checksum);
    return header;
  }
  static std::string NameOf(uint32_t tag) {
    std::string name(reinterpret_cast<const char*>(&tag), sizeof(tag));
    std::ranges::replace_if(
        name, [](char c) { return c < ' ' || c > '~'; }, '?');
    return name;
  }

  // `checksums`: of all sections before.
  Status UseSection(const SectionHeader& section, uint64_t checksums) {
    Payload payload(payload_);
    if ((section.tag == kConf) != (set_ == nullptr))
      return Damaged("section CONF expected first and once, found " + NameOf(section.tag));
    switch (section.tag) {
      case kConf: return UseConf(payload);
      case kElem: return UseElements(payload);
      case kDone: return UseDone(payload, checksums);
      default: break;
    }
    if ((section.flags & kRequired) == 0) return {};
    return MakeError(ErrorCode::kUnsupported,
                     "vector set: section " + NameOf(section.tag) + " is unknown and required");
  }

  Status UseConf(Payload& payload) {
    Conf conf;
    if (!payload.Take(conf) || !payload.is_empty())
      return Damaged("section CONF: " + std::to_string(sizeof(conf)) + " bytes expected");
    const uint32_t most = std::numeric_limits<uint8_t>::max();
    if (conf.quantization > most || conf.similarity > most)
      return Damaged("section CONF: quantization or similarity: unknown");
    if (conf.elements == 0) return Damaged("section CONF: elements: at least 1 expected, found 0");
    if (conf.elements > options_.max_elements) {
      return MakeError(ErrorCode::kOutOfMemory,
                       "vector set: elements: at most " + std::to_string(options_.max_elements) +
                           " expected, found " + std::to_string(conf.elements));
    }
    Result<std::unique_ptr<VectorSet>> made = VectorSet::Create(
        {.encoding = {.dim = conf.dim,
                      .input_dim = conf.input_dim,
                      .quantization = static_cast<Quantization>(conf.quantization),
                      .similarity = static_cast<Similarity>(conf.similarity)},
         .links = conf.links,
         .build_ef = conf.build_ef,
         .gate = options_.gate});
    if (!made) return Damaged("section CONF: " + made.error().message);
    set_ = std::move(*made);
    elements_ = conf.elements;
    return {};
  }

  Status UseElements(Payload& payload) {
    while (!payload.is_empty()) {
      const auto error = [&](const std::string& what) {
        return Damaged("element " + std::to_string(set_->size()) + ": " + what);
      };
      StoredElement header;
      std::span<const std::byte> name;
      std::span<const std::byte> attribute;
      EncodedView vector;
      if (!payload.Take(header) || header.name_bytes > kMaxNameBytes ||
          header.attribute_bytes > kMaxNameBytes || !payload.Take(header.name_bytes, name) ||
          !payload.Take(header.attribute_bytes, attribute) ||
          !payload.Take(set_->encoding().bytes(), vector.bytes))
        return error("longer than its section");
      vector.norm = header.norm;
      vector.range = header.range;
      // A copy, as floats must be where floats may be.
      aligned_.assign(vector.bytes.begin(), vector.bytes.end());
      vector.bytes = aligned_;
      if (Status checked = set_->encoding().Check(vector); !checked)
        return error(checked.error().message);
      if (set_->Contains(Text(name))) return error("a name that is there already");
      if (set_->size() == elements_) return error("no more were announced");
      set_->impl_->Add(Text(name), vector, Text(attribute));
    }
    return {};
  }

  Status UseDone(Payload& payload, uint64_t checksums) {
    Done done;
    if (!payload.Take(done) || !payload.is_empty())
      return Damaged("section DONE: " + std::to_string(sizeof(done)) + " bytes expected");
    if (done.elements != set_->size() || elements_ != set_->size()) {
      return Damaged("section DONE: elements: " + std::to_string(elements_) + " expected, found " +
                     std::to_string(set_->size()));
    }
    if (done.checksums != checksums)
      return Damaged("section DONE: another checksum of the sections expected");
    return {};
  }

  Status Link() {
    std::vector<Result<size_t>> linked(options_.threads);
    {
      std::vector<std::jthread> threads;
      threads.reserve(linked.size());
      for (Result<size_t>& one : linked)
        threads.emplace_back([&] { one = set_->Link(std::numeric_limits<size_t>::max()); });
    }
    for (const Result<size_t>& one : linked)
      if (!one) return tl::unexpected(one.error());
    return {};
  }

  const Source& source_;
  const LoadOptions& options_;
  std::vector<std::byte> payload_;
  std::vector<std::byte> aligned_;
  uint64_t checksums_ = 0;
  uint64_t elements_ = 0;  // As CONF says.
  std::unique_ptr<VectorSet> set_;
};

Result<std::unique_ptr<VectorSet>> Load(const Source& source, const LoadOptions& options) {
  try {
    return SetLoader(source, options).Run();
  } catch (const std::bad_alloc&) {
    return MakeError(ErrorCode::kOutOfMemory, "vector set: no memory for it");
  }
}

}  // namespace shoal::vset
