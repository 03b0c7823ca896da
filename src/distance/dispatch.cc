// Which kernels this process uses: decided once, at the first question.
#include <array>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#define HWY_WANT_AVX3_DL
#include "distance/kernels.h"
#include "distance/targets.h"
#include "hwy/targets.h"
#include "shoal/version.h"

namespace shoal::distance {
namespace {

constexpr int64_t kTargets[] = {HWY_AVX3_DL, HWY_AVX3, HWY_AVX2, HWY_SSE4, HWY_SSSE3};

struct Choice {
  std::array<const KernelSet*, std::size(kTargets) + 1> available;
  size_t count = 0;
  const KernelSet* active = nullptr;
  std::string note;
};

std::string NamesOf(const Choice& choice) {
  std::string names;
  for (size_t i = 0; i < choice.count; ++i) {
    if (i > 0) names += ", ";
    names += choice.available[i]->isa;
  }
  return names;
}

Choice Choose() {
  Choice choice;
  const int64_t supported = hwy::SupportedTargets();
  for (const int64_t target : kTargets) {
    const KernelSet* set = VectorKernels(target);
    if ((supported & target) != 0 && set != nullptr) choice.available[choice.count++] = set;
  }
  choice.available[choice.count++] = &PortableKernels();
  choice.active = choice.available[0];

  const char* wanted = std::getenv("SHOAL_ISA");
  if (wanted == nullptr || *wanted == '\0') return choice;
  for (size_t i = 0; i < choice.count; ++i) {
    if (choice.available[i]->isa != wanted) continue;
    choice.active = choice.available[i];
    return choice;
  }
  choice.note = "SHOAL_ISA=" + std::string(wanted) + " is not followed: this CPU and binary have " +
                NamesOf(choice) + "; using " + std::string(choice.active->isa);
  return choice;
}

const Choice& TheChoice() {
  static const Choice* const choice = new Choice(Choose());  // Never destroyed: used at exit too.
  return *choice;
}

}  // namespace

const KernelSet& Active() {
  static const KernelSet& active = *TheChoice().active;
  return active;
}

std::span<const KernelSet* const> Available() {
  return {TheChoice().available.data(), TheChoice().count};
}

const KernelSet& KernelsFor(std::string_view isa) {
  for (const KernelSet* set : Available())
    if (set->isa == isa) return *set;
  return *Available()[0];
}

std::string_view Note() { return TheChoice().note; }

}  // namespace shoal::distance

namespace shoal {

std::string_view ActiveIsa() { return distance::Active().isa; }

std::vector<std::string_view> AvailableIsas() {
  std::vector<std::string_view> names;
  for (const distance::KernelSet* set : distance::Available()) names.push_back(set->isa);
  return names;
}

std::string_view IsaNote() { return distance::Note(); }

}  // namespace shoal
