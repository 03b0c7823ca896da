// Reads a JSON object field by field, checks each, and remembers both the first mistake and every
// value that was taken, defaults included.
//
//   uint64_t readers = content.Unsigned("readers", {.least = 1, .most = 255});
//   std::string metric = content.OneOf("metric", {"l2", "cosine"}, "l2");
//   content.Object("build", [&](FieldReader& build) { list = build.Unsigned("list", {1, 10000});
//   }); if (auto fine = content.Finish(); !fine) return tl::unexpected(fine.error());
//
// After a mistake every read returns a value in range (its default, or `least`), so a parser reads
// all its fields, calls Finish once, and looks at files or sizes only when that is fine.
// A message reads `jobs.json: jobs[0].content.readers: expected an integer in [1, 255], found 0`.
#pragma once

#include <filesystem>
#include <functional>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "runner/json.h"

namespace shoal::bench {

// Finds an input file; the error says where it looked.
using FindInput = std::function<Expected<std::filesystem::path>(std::string_view)>;

// Both ends belong to it.
struct UnsignedRange {
  uint64_t least = 0;
  uint64_t most = UINT64_MAX;
};
struct NumberRange {
  double least = 0;
  double most = 1e300;
};

// Used by one thread. A field that has a default may be absent, but not null.
class FieldReader {
 public:
  // `object`: must outlive the reader. `path`: how messages name it, "jobs.json: jobs[0].content".
  FieldReader(const Json& object, std::string path);
  FieldReader(const FieldReader&) = delete;

  bool Has(std::string_view key) const;

  uint64_t Unsigned(std::string_view key, UnsignedRange range,
                    std::optional<uint64_t> otherwise = {});
  double Number(std::string_view key, NumberRange range, std::optional<double> otherwise = {});
  bool Flag(std::string_view key, std::optional<bool> otherwise = {});
  // Not empty, unless it is the default.
  std::string Text(std::string_view key, const std::optional<std::string>& otherwise = {});
  // One of `words`.
  std::string OneOf(std::string_view key, const std::vector<std::string_view>& words,
                    const std::optional<std::string>& otherwise = {});
  // At least one number.
  std::vector<uint64_t> UnsignedList(std::string_view key, UnsignedRange range,
                                     const std::optional<std::vector<uint64_t>>& otherwise = {});
  std::vector<std::string> TextList(std::string_view key,
                                    const std::optional<std::vector<std::string>>& otherwise = {});
  // A file that is there: the name as in the object is remembered, where it was found is returned.
  // With a default of "" the field may be absent, or "", and the result is empty then.
  std::filesystem::path InputFile(std::string_view key, const FindInput& find,
                                  const std::optional<std::string>& otherwise = {});

  using ReadObject = std::function<void(FieldReader&)>;
  // An object within; unknown keys in it are found too. Optional: absent counts as {}.
  void Object(std::string_view key, const ReadObject& read);
  void OptionalObject(std::string_view key, const ReadObject& read);
  // A list of objects, at least one.
  void Objects(std::string_view key, const ReadObject& read);
  // Any value, unchecked; null when it is absent.
  Json Any(std::string_view key);

  // A mistake that only the caller can see. The first mistake counts.
  void Fail(std::string_view key, std::string_view expected, std::string_view found);
  // The same as a whole line.
  void FailWith(std::string line);
  // "jobs.json: jobs[0].content.readers", for messages of the caller's own.
  std::string PathOf(std::string_view key) const;

  bool ok() const { return !error_; }
  // The first mistake; a key that was not read is one.
  Expected<void> Finish();
  // The object as it was understood, defaults filled in.
  const Json& understood() const { return understood_; }

 private:
  const Json* Find(std::string_view key);
  // The value at `key` if `fits`; else null, and a mistake is noted unless it may be absent.
  template <class Fits>
  const Json* Take(std::string_view key, std::string_view expected, bool optional,
                   const Fits& fits);
  template <class T>
  T Keep(std::string_view key, T value);
  void Adopt(FieldReader& inner);

  const Json& object_;
  const std::string path_;
  Json understood_ = Json::object();
  std::set<std::string, std::less<>> asked_;
  std::optional<std::string> error_;
};

}  // namespace shoal::bench
