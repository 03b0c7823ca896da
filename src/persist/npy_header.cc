#include "persist/npy_header.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "base/mismatch.h"
#include "persist/dataset_checks.h"
#include "persist/file_kind.h"

namespace shoal {
namespace {

// Reads one token after the other off the front of a text.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool Accept(char c) {
    SkipSpace();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool AcceptWord(std::string_view word) {
    SkipSpace();
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  // 'text' or "text" of printable ASCII, without escapes: no field of ours holds more.
  bool AcceptString(std::string* out) {
    SkipSpace();
    if (rest_.empty() || (rest_.front() != '\'' && rest_.front() != '"')) return false;
    const size_t end = rest_.find(rest_.front(), 1);
    if (end == std::string_view::npos) return false;
    out->assign(rest_.substr(1, end - 1));
    if (std::ranges::any_of(*out, [](char c) { return c < ' ' || c > '~'; })) return false;
    rest_.remove_prefix(end + 1);
    return true;
  }
  bool AcceptNumber(uint64_t* out) {
    SkipSpace();
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), *out);
    if (error != std::errc()) return false;
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
    Accept('L');  // Python 2 wrote 10L.
    return true;
  }
  bool AtEnd() {
    SkipSpace();
    return rest_.empty();
  }
  // "header: expected <expected>, found '<what comes next>'".
  tl::unexpected<Error> Unexpected(std::string_view expected) {
    SkipSpace();
    std::string next(rest_.substr(0, std::min<size_t>(rest_.size(), 16)));
    for (char& c : next) {
      if (c < ' ' || c > '~') c = '?';
    }
    return Mismatch(ErrorCode::kCorrupt, "header", expected,
                    next.empty() ? "its end" : "'" + next + "'");
  }

 private:
  void SkipSpace() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\n' ||
                              rest_.front() == '\t' || rest_.front() == '\r')) {
      rest_.remove_prefix(1);
    }
  }
  std::string_view rest_;
};

Status ParseShape(Scanner& in, std::vector<uint64_t>* shape) {
  constexpr size_t kMaxAxes = 32;  // NumPy's own limit.
  if (!in.Accept('(')) return in.Unexpected("'(' and the shape");
  shape->clear();
  while (!in.Accept(')')) {
    uint64_t extent = 0;
    if (shape->size() == kMaxAxes || !in.AcceptNumber(&extent)) {
      return in.Unexpected("a length or ')' in the shape");
    }
    shape->push_back(extent);
    if (in.Accept(',')) continue;
    if (in.Accept(')')) break;
    return in.Unexpected("',' or ')' in the shape");
  }
  return {};
}

Status ParseValue(Scanner& in, std::string_view key, NpyHeader* header) {
  if (key == "descr") {
    if (in.AcceptString(&header->descr)) return {};
    return in.Unexpected("a string as 'descr' (structured types are not vectors)");
  }
  if (key == "fortran_order") {
    header->fortran_order = in.AcceptWord("True");
    if (header->fortran_order || in.AcceptWord("False")) return {};
    return in.Unexpected("True or False as 'fortran_order'");
  }
  return ParseShape(in, &header->shape);
}

constexpr std::array<unsigned char, 6> kMagic = {0x93, 'N', 'U', 'M', 'P', 'Y'};
// Versions 2 and 3 allow 4 GiB, for types of thousands of fields; no matrix needs it.
constexpr int64_t kMaxHeaderBytes = 65536;
constexpr size_t kAlignment = 64;  // Of the numbers in the file, as NumPy writes.

// The header's text; `offset` becomes that of the byte behind it.
Result<std::string> ReadHeaderText(const InputFile& file, uint64_t* offset) {
  std::array<unsigned char, 12> head = {};
  if (auto ok = file.ReadAt(0, head.data(), 8, "magic and version"); !ok) {
    return tl::unexpected(ok.error());
  }
  if (std::memcmp(head.data(), kMagic.data(), kMagic.size()) != 0) {
    return Mismatch(ErrorCode::kCorrupt, file.path(), "magic", "\\x93NUMPY",
                    RecognizeFile(file).value_or("other bytes"));
  }
  const unsigned version = head[6];
  if (version < 1 || version > 3 || head[7] != 0) {
    return Mismatch(ErrorCode::kUnsupported, file.path(), "version", "1.0, 2.0 or 3.0",
                    std::to_string(version) + "." + std::to_string(head[7]));
  }
  const size_t length_bytes = version == 1 ? 2 : 4;
  if (auto ok = file.ReadAt(8, head.data() + 8, length_bytes, "header length"); !ok) {
    return tl::unexpected(ok.error());
  }
  uint32_t length = 0;
  std::memcpy(&length, head.data() + 8, length_bytes);
  if (auto ok = CheckRange(file.path(), "header length", length, 2, kMaxHeaderBytes); !ok) {
    return tl::unexpected(ok.error());
  }
  std::string text(length, '\0');
  if (auto ok = file.ReadAt(8 + length_bytes, text.data(), length, "header"); !ok) {
    return tl::unexpected(ok.error());
  }
  *offset = 8 + length_bytes + length;
  return text;
}

}  // namespace

Result<NpyHeader> ParseNpyHeader(std::string_view text) {
  constexpr std::string_view kKeys[] = {"descr", "fortran_order", "shape"};
  NpyHeader header;
  bool seen[3] = {};
  Scanner in(text);
  if (!in.Accept('{')) return in.Unexpected("'{'");
  while (!in.Accept('}')) {
    std::string key;
    if (!in.AcceptString(&key)) return in.Unexpected("a key or '}'");
    const size_t index = static_cast<size_t>(std::ranges::find(kKeys, key) - kKeys);
    if (index == std::size(kKeys) || seen[index]) {
      return MakeError(ErrorCode::kCorrupt,
                       "header: expected the keys 'descr', 'fortran_order' and 'shape' once each, "
                       "found '" +
                           key.substr(0, 32) + "'");
    }
    seen[index] = true;
    if (!in.Accept(':')) return in.Unexpected("':'");
    if (auto ok = ParseValue(in, key, &header); !ok) return tl::unexpected(ok.error());
    if (in.Accept(',')) continue;
    if (in.Accept('}')) break;
    return in.Unexpected("',' or '}'");
  }
  if (!in.AtEnd()) return in.Unexpected("nothing behind '}'");
  for (size_t i = 0; i < std::size(kKeys); ++i) {
    if (seen[i]) continue;
    return MakeError(ErrorCode::kCorrupt,
                     "header: expected the key '" + std::string(kKeys[i]) + "', found none");
  }
  return header;
}

Result<NpyHeader> ReadNpyHeader(const InputFile& file, uint64_t* offset) {
  const auto text = ReadHeaderText(file, offset);
  if (!text) return tl::unexpected(text.error());
  auto header = ParseNpyHeader(*text);
  if (!header)
    return MakeError(header.error().code, file.path().string() + ": " + header.error().message);
  return header;
}

std::string NpyHead(std::string_view descr, const std::vector<uint64_t>& shape) {
  std::string head(kMagic.begin(), kMagic.end());
  head += {1, 0, 0, 0};  // Version 1.0; the length is filled in below.
  head += "{'descr': '" + std::string(descr) +
          "', 'fortran_order': False, 'shape': " + DescribeNpyShape(shape) + ", }";
  head.append(kAlignment - 1 - head.size() % kAlignment, ' ');
  head += '\n';
  const auto length = static_cast<uint16_t>(head.size() - 10);
  std::memcpy(head.data() + 8, &length, sizeof(length));
  return head;
}

std::string DescribeNpyShape(const std::vector<uint64_t>& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) {
    text.append(i == 0 ? "" : ", ").append(std::to_string(shape[i]));
  }
  return text + (shape.size() == 1 ? ",)" : ")");
}

}  // namespace shoal
