#include "package_search/packages.h"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <unordered_map>
#include <utility>

namespace package_search {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";

std::string_view Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

// Control characters become blanks: the text is printed on a terminal.
std::string Printable(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return out;
}

// Calls `use` with every trimmed, non-empty piece between separators.
template <class Use>
void ForEachPiece(std::string_view text, std::string_view separators, Use use) {
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of(separators), text.size());
    if (const std::string_view piece = Trim(text.substr(0, end)); !piece.empty()) use(piece);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

// "libc6 (>= 2.34), python3:any | perl" -> libc6, python3, perl.
void AddDependencies(std::string_view value, std::vector<std::string>& out) {
  ForEachPiece(value, ",|", [&](std::string_view piece) {
    std::string name = Printable(piece.substr(0, piece.find_first_of(" \t\n(:[<")));
    if (std::find(out.begin(), out.end(), name) == out.end()) out.push_back(std::move(name));
  });
}

// "Description", or "Description-en" and its like; "Description-md5" is a checksum.
bool IsDescription(std::string_view field) {
  return field == "Description" || field.starts_with("Description-en");
}

void SetField(std::string_view field, std::string_view value, Package& package) {
  if (field == "Package") {
    package.name = Printable(Trim(value));
  } else if (IsDescription(field) && package.synopsis.empty()) {
    package.synopsis = Printable(Trim(value.substr(0, value.find('\n'))));
  } else if (field == "Section") {
    const std::string_view section = Trim(value);
    package.section = Printable(section.substr(section.rfind('/') + 1));
  } else if (field == "Tag") {
    ForEachPiece(value, ",\n",
                 [&](std::string_view tag) { package.tags.push_back(Printable(tag)); });
  } else if (field == "Depends" || field == "Pre-Depends") {
    AddDependencies(value, package.depends);
  }
}

// The length of the first line of `text`, without its end.
size_t LineLength(std::string_view text) { return std::min(text.find('\n'), text.size()); }

// Takes one field with its continuation lines off the front of `stanza`.
std::pair<std::string_view, std::string_view> TakeField(std::string_view& stanza) {
  size_t end = LineLength(stanza);
  const size_t colon = stanza.substr(0, end).find(':');
  while (end + 1 < stanza.size() && (stanza[end + 1] == ' ' || stanza[end + 1] == '\t')) {
    end += 1 + LineLength(stanza.substr(end + 1));
  }
  const std::string_view whole = stanza.substr(0, end);
  stanza.remove_prefix(std::min(end + 1, stanza.size()));
  if (colon == std::string_view::npos) return {};
  return {whole.substr(0, colon), whole.substr(colon + 1)};
}

// Takes one stanza, up to the next empty line, off the front of `text`.
std::string_view TakeStanza(std::string_view& text) {
  size_t end = 0;
  while (end < text.size()) {
    const size_t length = LineLength(text.substr(end));
    if (Trim(text.substr(end, length)).empty()) break;
    end += length + 1;
  }
  const std::string_view stanza = text.substr(0, std::min(end, text.size()));
  const size_t blank = end < text.size() ? LineLength(text.substr(end)) + 1 : 0;
  text.remove_prefix(std::min(end + blank, text.size()));
  return stanza;
}

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

std::string ReadAll(std::FILE* file) {
  std::string text;
  char buffer[1 << 16];
  while (const size_t n = std::fread(buffer, 1, sizeof buffer, file)) text.append(buffer, n);
  return text;
}

// What a command prints; nothing when it cannot be run.
std::string OutputOf(const char* command) {
  std::FILE* pipe = popen(command, "r");
  if (pipe == nullptr) return {};
  std::string text = ReadAll(pipe);
  pclose(pipe);
  return text;
}

}  // namespace

std::vector<Package> ParsePackages(std::string_view text) {
  std::vector<Package> packages;
  std::unordered_map<std::string, size_t> position;
  while (!text.empty()) {
    std::string_view stanza = TakeStanza(text);
    Package package;
    while (!stanza.empty()) {
      const auto [field, value] = TakeField(stanza);
      SetField(field, value, package);
    }
    if (package.name.empty()) continue;
    const auto [known, is_new] = position.try_emplace(package.name, packages.size());
    if (is_new) {
      packages.push_back(std::move(package));
    } else if (Package& first = packages[known->second]; first.synopsis.empty()) {
      first.synopsis = std::move(package.synopsis);
    }
  }
  return packages;
}

shoal::Result<PackageList> ReadPackageFile(const std::string& path) {
  const bool standard_input = path == "-";
  const std::string source = standard_input ? "standard input" : path;
  std::unique_ptr<std::FILE, CloseFile> owned;
  if (!standard_input) {
    owned.reset(std::fopen(path.c_str(), "rb"));
    if (owned == nullptr) {
      return shoal::MakeError(shoal::ErrorCode::kIo,
                              fmt::format("{}: cannot open: {}", source, std::strerror(errno)));
    }
  }
  std::FILE* file = standard_input ? stdin : owned.get();
  const std::string text = ReadAll(file);
  if (std::ferror(file)) {
    return shoal::MakeError(shoal::ErrorCode::kIo,
                            fmt::format("{}: cannot read: {}", source, std::strerror(errno)));
  }
  PackageList list{.packages = ParsePackages(text), .source = source, .warning = {}};
  if (list.packages.empty()) {
    return shoal::MakeError(
        shoal::ErrorCode::kCorrupt,
        fmt::format("{}: expected stanzas with a Package field, found none in {} bytes", source,
                    text.size()));
  }
  return list;
}

shoal::Result<PackageList> ReadMachinePackages() {
  PackageList best{.packages = ParsePackages(OutputOf("apt-cache dumpavail 2>/dev/null")),
                   .source = "apt-cache dumpavail",
                   .warning = {}};
  if (best.packages.size() >= kFewPackages) return best;
  for (const char* path : {"/var/lib/dpkg/available", "/var/lib/dpkg/status"}) {
    auto list = ReadPackageFile(path);
    if (list && list->packages.size() > best.packages.size()) best = *std::move(list);
  }
  if (best.packages.empty()) {
    return shoal::MakeError(shoal::ErrorCode::kFileNotFound,
                            "no package index on this machine: expected `apt-cache dumpavail` or "
                            "/var/lib/dpkg/status, found neither; give a Packages file with "
                            "--packages");
  }
  best.warning = fmt::format(
      "only {} packages known ({}): the package lists are missing; run `apt-get update` as root "
      "for some 60,000",
      best.packages.size(), best.source);
  return best;
}

}  // namespace package_search
