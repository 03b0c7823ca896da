// Reads a command's arguments from left to right.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "bindings/valkey/abi/redis_module.h"
#include "bindings/valkey/core/encoding.h"

namespace shoal::vset_module {

// The bytes of a server's string; they live as long as it.
std::string_view View(const redis::String* string);

// Whole texts only, no spaces. A double may be infinite, but not NaN.
std::optional<long long> ToInteger(std::string_view text);
std::optional<double> ToDouble(std::string_view text);

// `word` is in capitals; the text may not be.
bool IsWord(std::string_view text, std::string_view word);

class Arguments {
 public:
  // argv[0] is the command's name, argv[1] the key.
  Arguments(redis::String** argv, int argc) : argv_(argv), end_(static_cast<size_t>(argc)) {}

  size_t left() const { return end_ - next_; }
  bool done() const { return next_ == end_; }
  // The next argument. Only where left() > 0.
  std::string_view Take() { return View(argv_[next_++]); }
  redis::String* TakeString() { return argv_[next_++]; }
  std::string_view Peek() const { return View(argv_[next_]); }
  // Takes the next argument if it is this option word.
  bool TakeWord(std::string_view word);
  // Takes the next argument: nullopt, too, if there is none.
  std::optional<long long> TakeInteger();
  std::optional<double> TakeDouble();

 private:
  redis::String** argv_;
  size_t end_;
  size_t next_ = 2;
};

// A vector as a command has it: FP32 blob | VALUES n v1 .. vn | XI8 blob | XU8 blob. nullopt: it is
// none of these; its length is 0, above kMaxDim or not what is there; an element is not finite.
std::optional<std::vector<float>> TakeVector(Arguments& arguments);

// COSINE | L2 | IP. nullopt: something else, or nothing.
std::optional<vset::Similarity> TakeSimilarity(Arguments& arguments);

}  // namespace shoal::vset_module
