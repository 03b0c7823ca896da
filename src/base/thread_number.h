// A small number for every running thread, by which threads choose among copies of something shared
// (epoch cells, pool shards) so that they rarely meet. New threads get the numbers of threads that
// have ended, lowest first. So programs that start many short threads use few copies.
#pragma once

#include <cstddef>

namespace shoal {

// Of the calling thread. 0 if there is no memory for a number of its own.
size_t ThreadNumber();

}  // namespace shoal
