// Which kernels this process uses: decided once, at the first question.
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "distance/kernels.h"
#include "distance/sets.h"
#include "shoal/version.h"

namespace shoal::distance {
namespace {

struct Choice {
  Sets<KernelSet> available{VectorKernels, PortableKernels()};
  const KernelSet* active = available.all()[0];
  std::string note;
};

std::string NamesOf(const Choice& choice) {
  std::string names;
  for (const KernelSet* set : choice.available.all())
    names.append(names.empty() ? "" : ", ").append(set->isa);
  return names;
}

Choice Choose() {
  Choice choice;
  const char* wanted = std::getenv("SHOAL_ISA");
  if (wanted == nullptr || *wanted == '\0') return choice;
  if (const KernelSet* const set = choice.available.Find(wanted)) {
    choice.active = set;
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

std::span<const KernelSet* const> Available() { return TheChoice().available.all(); }

const KernelSet& KernelsFor(std::string_view isa) {
  const KernelSet* const set = TheChoice().available.Find(isa);
  return set != nullptr ? *set : *Available()[0];
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
