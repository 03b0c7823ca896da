// A check of our own invariants. User input never reaches one: it gets an Error.
#pragma once

#include <cstdio>
#include <cstdlib>

// Ends the process when our own invariant is broken: going on would return wrong answers.
#define SHOAL_CHECK(condition)                                                             \
  do {                                                                                     \
    if (!(condition)) [[unlikely]] {                                                       \
      std::fprintf(stderr, "shoal: broken invariant: %s at %s:%d\n", #condition, __FILE__, \
                   __LINE__);                                                              \
      std::abort();                                                                        \
    }                                                                                      \
  } while (false)
