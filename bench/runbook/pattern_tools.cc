#include "runbook/pattern_tools.h"

#include <algorithm>
#include <numeric>

namespace shoal::bench {

double Unit(Random& random) { return static_cast<double>(random.Next() >> 11) * 0x1p-53; }

std::vector<size_t> Shuffled(Random& random, size_t n) {
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  for (size_t i = n; i > 1; --i) std::swap(order[i - 1], order[random.Below(i)]);
  return order;
}

Ranges Ring::At(uint64_t offset, uint32_t n) const {
  const uint32_t begin = all_.begin + static_cast<uint32_t>(offset % all_.size());
  const uint32_t first = std::min(n, all_.end - begin);
  Ranges ranges = {{begin, begin + first}};
  if (first < n) ranges.push_back({all_.begin, all_.begin + (n - first)});
  return ranges;
}

Ranges Ring::Come(uint32_t n) {
  Ranges ranges = At(uint64_t{oldest_} + size_, n);
  size_ += n;
  return ranges;
}

Ranges Ring::Go(uint32_t n) {
  Ranges ranges = At(oldest_, n);
  oldest_ = static_cast<uint32_t>((uint64_t{oldest_} + n) % all_.size());
  size_ -= n;
  return ranges;
}

RunbookMaker::RunbookMaker(std::string dataset, uint64_t seed) : random_(seed) {
  runbook_.dataset = std::move(dataset);
}

void RunbookMaker::Add(Operation operation, IdRange points, IdRange rows) {
  if (operation != Operation::kSearch && points.size() == 0) return;
  Step step;
  step.number = runbook_.steps.size() + 1;
  step.operation = operation;
  step.points = points;
  step.rows = rows;
  runbook_.steps.push_back(step);
}

void RunbookMaker::Insert(const Ranges& ranges) {
  for (const IdRange& range : ranges) Add(Operation::kInsert, range, range);
}
void RunbookMaker::Delete(const Ranges& ranges) {
  for (const IdRange& range : ranges) Add(Operation::kDelete, range, {});
}
void RunbookMaker::Replace(IdRange points, IdRange rows) { Add(Operation::kReplace, points, rows); }
void RunbookMaker::Search() { Add(Operation::kSearch, {}, {}); }

std::vector<IdRange> ClustersOf(const std::vector<uint32_t>& bounds, uint32_t rows) {
  std::vector<IdRange> clusters;
  for (size_t i = 0; i < bounds.size(); ++i) {
    const uint32_t end = i + 1 < bounds.size() ? bounds[i + 1] : rows;
    if (bounds[i] < end) clusters.push_back({bounds[i], end});
  }
  return clusters;
}

}  // namespace shoal::bench
