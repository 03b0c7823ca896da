// The server's count of memory that graphs have from the system directly, and not from its
// allocator: rows and lists grow in place, in address space that is reserved once.
#pragma once

namespace shoal::vset_module {

// Makes used_memory count all of shoal::MappedBytes(), to the megabyte: holds as many bytes of the
// server's allocator, and never touches them, so they take address space and no memory. After every
// change of a graph. Any thread, but none of a child of a fork.
void CountMappedMemory();

}  // namespace shoal::vset_module
