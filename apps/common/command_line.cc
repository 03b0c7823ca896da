#include "apps/common/command_line.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <exception>
#include <iostream>
#include <new>
#include <optional>
#include <utility>

#include "shoal/version.h"

namespace shoal::apps {
namespace {

std::string LongName(const Flag& flag) {
  const std::string names = flag.names;
  return names.substr(0, names.find(','));
}

// A CLI11 callback that parses with `parse` (optional-like result), or names what was expected.
// `value` may be null.
template <class T, class Parse>
CLI::callback_t Parser(const Flag& flag, const char* expected, T* value, Parse parse) {
  return [=, name = LongName(flag)](const CLI::results_t& words) {
    if (words.size() != 1) {
      throw CLI::ValidationError(name, fmt::format("expected {}, once", expected));
    }
    const auto parsed = parse(words.front());
    if (!parsed) {
      throw CLI::ValidationError(name,
                                 fmt::format("expected {}, found '{}'", expected, words.front()));
    }
    if (value != nullptr) *value = *parsed;
    return true;
  };
}

std::optional<bool> ParseBool(std::string word) {
  std::ranges::transform(word, word.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const char* yes : {"1", "true", "on", "yes"}) {
    if (word == yes) return true;
  }
  for (const char* no : {"0", "false", "off", "no"}) {
    if (word == no) return false;
  }
  return std::nullopt;
}

std::optional<uint32_t> ParseCount(const std::string& word) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return value;
}

std::optional<float> ParseNumber(const std::string& word) {
  float value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return value;
}

constexpr const char* kTypes = "float, float16, int8, uint8 or bit";
constexpr const char* kMetrics = "l2, mips, cosine, manhattan or hamming";
constexpr const char* kCodes = "auto, full, float16, bfloat16, sq8, rq4, rq3, rq2, rq1 or sign";
constexpr const char* kCount = "a whole number from 0 to 4294967295";

}  // namespace

CommandLine::CommandLine(std::string name, const std::string& description)
    : name_(std::move(name)), app_(description, name_) {
  app_.set_help_flag("-h,--help", "print this text");
  app_.get_formatter()->column_width(34);
  app_.add_flag_callback(
      "--version",
      [this] {
        if (!IsaNote().empty()) std::cerr << name_ << ": " << IsaNote() << '\n';
        throw CLI::CallForVersion(fmt::format("{} (shoal {}, {})", name_, Version(), ActiveIsa()),
                                  0);
      },
      "print shoal's version and the instruction set in use");
}

void CommandLine::Required(const Flag& flag, ScalarType* value) {
  app_.add_option(flag.names, Parser(flag, kTypes, value, ParseScalarType), flag.help)->required();
}

void CommandLine::Required(const Flag& flag, Metric* value) {
  // fast_l2 is a memory layout of DiskANN's; its distances are those of l2.
  const auto parse = [](const std::string& word) {
    return word == "fast_l2" ? Metric::kL2 : ParseMetric(word);
  };
  app_.add_option(flag.names, Parser(flag, kMetrics, value, parse), flag.help)->required();
}

void CommandLine::Required(const Flag& flag, std::filesystem::path* value) {
  Optional(flag, value);
  app_.get_option(LongName(flag))->required()->default_str("");
}

void CommandLine::Required(const Flag& flag, uint32_t* value) {
  app_.add_option(flag.names, Parser(flag, kCount, value, ParseCount), flag.help)->required();
}

void CommandLine::Required(const Flag& flag, std::vector<uint32_t>* values) {
  const auto parse = [values, name = LongName(flag)](const CLI::results_t& words) {
    values->clear();
    for (const std::string& word : words) {
      const auto count = ParseCount(word);
      if (!count) {
        throw CLI::ValidationError(name, fmt::format("expected whole numbers, found '{}'", word));
      }
      values->push_back(*count);
    }
    return true;
  };
  app_.add_option(flag.names, parse, flag.help)->required()->expected(1, 1 << 20);
}

void CommandLine::Optional(const Flag& flag, std::filesystem::path* value) {
  const auto parse = [](const std::string& word) -> std::optional<std::filesystem::path> {
    if (word.empty()) return std::nullopt;
    return word;
  };
  app_.add_option(flag.names, Parser(flag, "a path", value, parse), flag.help)
      ->default_str(value->string());
}

void CommandLine::Required(const Flag& flag, std::string* value) {
  Optional(flag, value);
  app_.get_option(LongName(flag))->required()->default_str("");
}

void CommandLine::Optional(const Flag& flag, std::string* value) {
  app_.add_option(flag.names, *value, flag.help)->default_str(*value);
}

void CommandLine::Optional(const Flag& flag, uint32_t* value) {
  app_.add_option(flag.names, Parser(flag, kCount, value, ParseCount), flag.help)
      ->default_str(std::to_string(*value));
}

void CommandLine::Optional(const Flag& flag, float* value) {
  app_.add_option(flag.names, Parser(flag, "a number", value, ParseNumber), flag.help)
      ->default_str(fmt::format("{}", *value));
}

void CommandLine::Optional(const Flag& flag, Code* value) {
  app_.add_option(flag.names, Parser(flag, kCodes, value, ParseCode), flag.help)
      ->default_str(std::string(CodeName(*value)));
}

void CommandLine::Optional(const Flag& flag, bool* value) {
  app_.add_option(flag.names, Parser(flag, "true or false", value, ParseBool), flag.help)
      ->default_str(*value ? "true" : "false");
}

void CommandLine::Switch(const Flag& flag, bool* value) {
  app_.add_flag(flag.names, *value, flag.help);
}

void CommandLine::Only(const Flag& flag, const std::string& only) {
  const auto check = [=, name = LongName(flag)](const CLI::results_t& words) {
    if (words.size() == 1 && words.front() == only) return true;
    throw CLI::ValidationError(
        name, fmt::format("not possible with shoal yet: expected '{}', found '{}'", only,
                          words.empty() ? "" : words.front()));
  };
  app_.add_option(flag.names, check, flag.help)->default_str(only)->group("For compatibility");
}

void CommandLine::Never(const Flag& flag) {
  app_.add_flag_callback(
          flag.names,
          [name = LongName(flag)] {
            throw CLI::ValidationError(name, "not possible with shoal yet");
          },
          flag.help)
      ->group("For compatibility");
}

void CommandLine::Ignored(const Flag& flag) {
  app_.add_option(
          flag.names, [](const CLI::results_t&) { return true; }, flag.help)
      ->group("For compatibility");
}

void CommandLine::IgnoredNumber(const Flag& flag) {
  app_.add_option(flag.names, Parser<float>(flag, "a number", nullptr, ParseNumber), flag.help)
      ->group("For compatibility");
}

void CommandLine::Positional(const std::string& name, const std::string& help,
                             std::filesystem::path* value) {
  Required({name.c_str(), help.c_str()}, value);
}

void CommandLine::Positional(const std::string& name, const std::string& help, ScalarType* value) {
  Required({name.c_str(), help.c_str()}, value);
}

// Replaces --name (or --name=value) by the one long name that begins so, if there is just one and
// none that is the very word.
std::vector<std::string> CommandLine::ExpandPrefixes(int argc, char** argv) const {
  std::vector<std::string> words(argv + 1, argv + argc);
  for (std::string& word : words) {
    if (!word.starts_with("--") || word == "--") continue;
    const size_t equals = word.find('=');
    const std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
    std::vector<std::string> candidates;
    for (const CLI::Option* option : app_.get_options()) {
      for (const std::string& known : option->get_lnames()) {
        if (known.starts_with(name)) candidates.push_back(known);
      }
    }
    const bool exact = std::ranges::find(candidates, name) != candidates.end();
    if (exact || candidates.size() != 1) continue;
    word = "--" + candidates.front() +
           (equals == std::string::npos ? std::string() : word.substr(equals));
  }
  return words;
}

int CommandLine::Fail(const std::string& message) const {
  std::cout.flush();
  std::cerr << name_ << ": " << message << '\n';
  return 1;
}

int CommandLine::Run(int argc, char** argv, const std::function<Status()>& body) {
  try {
    std::vector<std::string> words = ExpandPrefixes(argc, argv);
    std::ranges::reverse(words);  // CLI11 takes them off the back.
    app_.parse(std::move(words));
  } catch (const CLI::CallForHelp&) {
    std::cout << app_.help();
    return 0;
  } catch (const CLI::CallForVersion& version) {
    std::cout << version.what() << '\n';
    return 0;
  } catch (const CLI::ExtrasError&) {  // Whose message has them from the last to the first.
    return Fail(fmt::format("expected no further arguments, found {} (--help lists the flags)",
                            fmt::join(app_.remaining(), " ")));
  } catch (const CLI::Error& error) {
    std::string message = error.what();
    std::ranges::replace(message, '\n', ' ');
    return Fail(message + " (--help lists the flags)");
  }
  if (!IsaNote().empty()) std::cerr << name_ << ": " << IsaNote() << '\n';
  try {
    const Status status = body();
    if (!status) return Fail(status.error().message);
    if (!std::cout.flush()) return Fail("stdout: cannot write");
    return 0;
  } catch (const std::bad_alloc&) {
    return Fail("out of memory");
  } catch (const std::exception& error) {
    return Fail(error.what());
  }
}

Status CheckOutputFolder(const std::filesystem::path& file) {
  const std::filesystem::path parent = file.parent_path();
  const std::filesystem::path folder = parent.empty() ? "." : parent;
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored)) {
    return MakeError(ErrorCode::kIo, fmt::format("{}: cannot create the file: no folder {}",
                                                 file.string(), folder.string()));
  }
  if (access(folder.c_str(), W_OK) == 0) return {};
  return MakeError(ErrorCode::kIo, fmt::format("{}: cannot create the file: the folder {} cannot "
                                               "be written to",
                                               file.string(), folder.string()));
}

Status CheckOutputFile(const std::filesystem::path& file) {
  if (auto ok = CheckOutputFolder(file); !ok) return ok;
  std::error_code ignored;
  if (file.has_filename() && !std::filesystem::is_directory(file, ignored)) return {};
  return MakeError(ErrorCode::kIo,
                   fmt::format("{}: cannot create the file: expected a file's name, "
                               "found a folder",
                               file.string()));
}

Status CheckDiskannOutput(const std::filesystem::path& prefix, ScalarType type) {
  if (type != ScalarType::kFloat16) return CheckOutputFile(prefix);
  return MakeError(
      ErrorCode::kUnsupported,
      "--data_type: expected float, int8, uint8 or bit, which the index files can hold, "
      "found float16");
}

uint32_t ThreadsOrAll(uint32_t threads) {
  if (threads > 0) return threads;
  cpu_set_t cpus;
  if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0) return 1;
  return static_cast<uint32_t>(std::max(1, CPU_COUNT(&cpus)));
}

}  // namespace shoal::apps
