// What all programs share: flags, --help, --version; for every error one line on stderr and exit
// status 1.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "apps/common/flags.h"
#include "shoal/result.h"
#include "shoal/types.h"

namespace shoal::apps {

// Declare flags and positional arguments, each bound to a variable whose value is its default, then
// Run. Long names may be cut short as long as they stay unambiguous, as in DiskANN's programs.
class CommandLine {
 public:
  CommandLine(std::string name, const std::string& description);

  void Required(const Flag& flag, ScalarType* value);
  void Required(const Flag& flag, Metric* value);
  void Required(const Flag& flag, std::filesystem::path* value);
  void Required(const Flag& flag, std::string* value);
  void Required(const Flag& flag, uint32_t* value);
  void Required(const Flag& flag, std::vector<uint32_t>* values);
  void Optional(const Flag& flag, std::filesystem::path* value);
  void Optional(const Flag& flag, std::string* value);
  void Optional(const Flag& flag, uint32_t* value);
  void Optional(const Flag& flag, float* value);
  void Optional(const Flag& flag, Code* value);
  // Takes a word: 0/1, true/false, on/off, yes/no, in any case.
  void Optional(const Flag& flag, bool* value);
  // Takes no value.
  void Switch(const Flag& flag, bool* value);
  // A flag of DiskANN's that takes one value, which must be `only`.
  void Only(const Flag& flag, const std::string& only);
  // A flag of DiskANN's that takes no value, and must be absent.
  void Never(const Flag& flag);
  // Accepted with any value, or with any number, without effect.
  void Ignored(const Flag& flag);
  void IgnoredNumber(const Flag& flag);
  // Positional, in the order of the calls.
  void Positional(const std::string& name, const std::string& help, std::filesystem::path* value);
  void Positional(const std::string& name, const std::string& help, ScalarType* value);

  // Parses and, if that went well and neither --help nor --version was asked for, runs `body`.
  // Returns the program's exit status: 0, or 1 after "<name>: <message>" on stderr.
  int Run(int argc, char** argv, const std::function<Status()>& body);

 private:
  std::vector<std::string> ExpandPrefixes(int argc, char** argv) const;
  int Fail(const std::string& message) const;

  std::string name_;
  CLI::App app_;
};

// For a check before hours of work: Io unless the folder of `file` exists and is writable.
Status CheckOutputFolder(const std::filesystem::path& file);
// The same, and `file` itself is no folder.
Status CheckOutputFile(const std::filesystem::path& file);
// The same for an index in DiskANN's files, which have no float16.
Status CheckDiskannOutput(const std::filesystem::path& prefix, ScalarType type);

// 0 means all: the number of CPUs that this process may use.
uint32_t ThreadsOrAll(uint32_t threads);

}  // namespace shoal::apps
