// SHOAL_API marks what the shared library exports: the public classes and functions, nothing else.
#pragma once

#define SHOAL_API __attribute__((visibility("default")))
