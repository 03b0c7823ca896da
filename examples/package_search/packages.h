// Debian's package index as plain structs: where it comes from and how it is parsed.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "shoal/result.h"

namespace package_search {

struct Package {
  std::string name;
  std::string synopsis;              // First line of the description, printable.
  std::string section;               // Without the archive area: "libs" for "contrib/libs".
  std::vector<std::string> tags;     // debtags, "works-with::vcs"; empty for many packages.
  std::vector<std::string> depends;  // Names only, alternatives included, each once.
};

// Parses stanzas in the format of `apt-cache dumpavail`, dpkg's status file and Packages files
// (RFC 822: "Field: value", continuation lines start with a blank, an empty line ends a stanza).
// Stanzas without a Package field are left out; of a name that comes twice the first stays, with
// the synopsis of a later one where its own is empty. Order is that of the text.
std::vector<Package> ParsePackages(std::string_view text);

struct PackageList {
  std::vector<Package> packages;
  std::string source;   // For people: "apt-cache dumpavail", a file's name.
  std::string warning;  // Empty, or one line that says why this is less than one would like.
};

// Fewer packages than this mean that the machine's package lists were never downloaded.
inline constexpr size_t kFewPackages = 1000;

// Reads a file of stanzas, "-" for standard input. An error names the file and what was found.
shoal::Result<PackageList> ReadPackageFile(const std::string& path);

// The machine's own index: `apt-cache dumpavail`, and where that has few packages the largest of
// it and dpkg's own files, with a warning.
shoal::Result<PackageList> ReadMachinePackages();

}  // namespace package_search
