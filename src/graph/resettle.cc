// The way out when a deleted point cannot be released (neighbors.h, G4): those whom it alone guards
// find each other as guards by turns, or all near them have no place.
//
// Of all points to which guards lead from the start without passing the dead one, some has a place:
// they have more edges than they need to lead to each other. If it is older than who needs a guard,
// that is all. Else who needs one is born anew, which asks the same for those whom it alone guards,
// first: guards have no cycle, so there is an end to that.
#include <vector>

#include "graph/graph.h"

namespace shoal {

// Breadth first from the start, along guards that are not `leaving`. True: x, which is live, has a
// guard among those, or is not live any more.
bool Graph::GuardWithout(SlotId x, SlotId leaving, Evict evict, Guard& guard, Scratch& scratch) {
  std::vector<bool> met(slots_.high_water(), false);
  std::vector<SlotId> queue{start()};
  met[start()] = true;
  SlotId row[kMaxDegree];
  for (size_t next = 0; next < queue.size(); ++next) {
    const SlotId q = queue[next];
    if (slots_.tag(x) != Tag::kLive || q == x) return true;
    if (ForceLink(q, x, leaving, evict, guard, scratch)) return true;
    const size_t n = neighbors_.Copy(q, row);
    for (size_t i = 0; i < n; ++i) {
      if (row[i] == leaving || row[i] >= met.size() || met[row[i]]) continue;
      if (!neighbors_.Guards(q, row[i])) continue;
      met[row[i]] = true;
      queue.push_back(row[i]);
    }
  }
  return false;
}

bool Graph::Resettle(SlotId p, std::span<const SlotId> dependents, Guard& guard, Scratch& scratch) {
  std::vector<SlotId> due(dependents.begin(), dependents.end());
  std::vector<SlotId> refused;
  // A point may come up again when another one's rebirth has left it with one guard.
  for (size_t steps = 4 * size_t{slots_.high_water()}; !due.empty() && steps > 0; --steps) {
    const SlotId x = due.back();
    if (slots_.tag(x) == Tag::kLive &&
        GuardWithout(x, p, Evict::kWhatGuardsNobody, guard, scratch)) {
      due.pop_back();
      continue;
    }
    refused.clear();
    if (!neighbors_.Rebirth(x, refused)) {
      due.insert(due.end(), refused.begin(), refused.end());
      continue;
    }
    // It is released, or any row may guard it now.
    if (!GuardWithout(x, p, Evict::kWhatGuardsNobody, guard, scratch) &&
        !GuardWithout(x, p, Evict::kWhatIsNotNeeded, guard, scratch))
      return false;
    due.pop_back();
  }
  return due.empty();
}

}  // namespace shoal
