// Bytes that go to, or come from, what is no file: a socket, a pipe, a part of a larger file,
// memory.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "shoal/result.h"

namespace shoal {

// Takes the next bytes, a megabyte at most at a time. An error ends the call that writes
// (Index::SaveTo), which returns it. Called by the thread that made that call. It must not throw.
using ByteSink = std::function<Status(std::span<const std::byte> bytes)>;

// Fills `bytes` from the front and returns how many it has given, at most all; 0: there are no
// more. An error ends the call that reads (Index::LoadFrom, ReadNpy), which returns it. Called by
// the thread that made that call. It must not throw.
using ByteSource = std::function<Result<size_t>(std::span<std::byte> bytes)>;

}  // namespace shoal
