#include "persist/npy_header.h"

#include <algorithm>
#include <charconv>

#include "base/mismatch.h"

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

}  // namespace shoal
