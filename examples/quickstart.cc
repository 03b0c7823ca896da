// shoal in one screen: insert from two threads, search meanwhile.
#include <array>
#include <cstdio>
#include <random>
#include <thread>
#include <vector>

#include "shoal/index.h"

int main() {
  auto index = shoal::Index::Create({.dim = 64});
  if (!index) return std::puts(index.error().message.c_str()), 1;

  const auto insert = [&](uint64_t first) {  // 5000 random points, ids first, first + 2, ...
    std::mt19937_64 random(first);
    std::normal_distribution<float> normal;
    std::array<float, 64> point;
    for (uint64_t id = first; id < 10000; id += 2) {
      for (float& x : point) x = normal(random);
      if (auto status = index->Insert(id, point); !status)
        std::puts(status.error().message.c_str());
    }
  };
  std::thread even(insert, 0), odd(insert, 1);

  const std::vector<float> query(64, 0.1f);
  for (int i = 0; i < 1000; ++i) (void)index->Search(query, {.k = 5});  // Any thread, any time.
  even.join();
  odd.join();

  const auto hits = index->Search(query, {.k = 5, .search_list_size = 100});
  if (!hits) return std::puts(hits.error().message.c_str()), 1;
  for (const shoal::Hit& hit : *hits) {
    std::printf("id %5lu  distance %.3f\n", static_cast<unsigned long>(hit.id), hit.distance);
  }
}
