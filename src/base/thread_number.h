// A small number for every thread that lives: by it threads choose among copies of something shared
// (epoch cells, pool shards) so that they rarely meet. The numbers of threads that have ended are
// given to new ones, lowest first; so programs that start many short threads use few copies.
#pragma once

#include <cstddef>

namespace shoal {

// Of the calling thread; 0 for a thread for whom there is no memory.
size_t ThreadNumber();

}  // namespace shoal
