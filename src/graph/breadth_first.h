// All nodes of a graph in the order of a search over all of it.
#pragma once

#include <cstdint>
#include <vector>

namespace shoal {

struct BreadthFirstOrder {
  std::vector<uint32_t> nodes;  // Each of [0, n) once.
  size_t reached = 0;           // The roots lead to the first so many.
};

// roots(meet) calls meet(i) for every root, neighbors(i, meet) for every neighbour of i. Nodes that
// the roots do not lead to come behind the others: the first of them, and what it leads to, and so
// on. Numbers that are no nodes are passed over. If ranks are given in this order, each node but a
// root has an edge from a node of lower rank.
template <class Roots, class Neighbors>
BreadthFirstOrder OrderBreadthFirst(uint32_t n, const Roots& roots, const Neighbors& neighbors) {
  BreadthFirstOrder order;
  order.nodes.reserve(n);
  std::vector<bool> met(n, false);
  const auto meet = [&](uint32_t i) {
    if (i >= n || met[i]) return;
    met[i] = true;
    order.nodes.push_back(i);
  };
  size_t next = 0;
  const auto walk = [&] {
    for (; next < order.nodes.size(); ++next) neighbors(order.nodes[next], meet);
  };
  roots(meet);
  walk();
  order.reached = order.nodes.size();
  for (uint32_t root = 0; root < n; ++root) {
    meet(root);
    walk();
  }
  return order;
}

}  // namespace shoal
