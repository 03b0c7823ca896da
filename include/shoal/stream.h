// Snapshots that go to, or come from, what is no file: a socket, a part of a larger file, memory.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "shoal/result.h"

namespace shoal {

// Takes the next bytes of a snapshot, a megabyte at most at a time. An error ends Index::SaveTo,
// which returns it. Called by the thread that calls SaveTo. It must not throw.
using SnapshotSink = std::function<Status(std::span<const std::byte> bytes)>;

// Fills `bytes` from the front and returns how many it has given, at most all; 0: there are no
// more. An error ends Index::LoadFrom, which returns it. It must not throw.
using SnapshotSource = std::function<Result<size_t>(std::span<std::byte> bytes)>;

}  // namespace shoal
