// What the patterns of generate.cc are made of.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "jobs/random.h"
#include "runbook/runbook.h"

namespace shoal::bench {

// [0, 1)
double Unit(Random& random);
// 0 .. n - 1 in some order.
std::vector<size_t> Shuffled(Random& random, size_t n);

using Ranges = std::vector<IdRange>;

// The ids of `all` in a circle; those that are there follow each other, the oldest first.
class Ring {
 public:
  explicit Ring(IdRange all) : all_(all) {}
  uint32_t size() const { return size_; }
  // The next n come; there must be room.
  Ranges Come(uint32_t n);
  // The n oldest go; they must be there.
  Ranges Go(uint32_t n);

 private:
  Ranges At(uint64_t offset, uint32_t n) const;

  IdRange all_;
  uint32_t oldest_ = 0;  // Offset in `all_`.
  uint32_t size_ = 0;
};

// A runbook, step by step; empty ranges make no step.
class RunbookMaker {
 public:
  RunbookMaker(std::string dataset, uint64_t seed);
  void Insert(const Ranges& ranges);
  void Delete(const Ranges& ranges);
  void Replace(IdRange points, IdRange rows);
  void Search();
  Random& random() { return random_; }
  Runbook Finish() && { return std::move(runbook_); }

 private:
  void Add(Operation operation, IdRange points, IdRange rows);

  Runbook runbook_;
  Random random_;
};

// From where each begins; empty ones are left out.
std::vector<IdRange> ClustersOf(const std::vector<uint32_t>& bounds, uint32_t rows);

}  // namespace shoal::bench
