// Files mapped into memory.
#pragma once

#include <cstddef>
#include <string>

namespace nibblelens {

/** A file's bytes; `release` gives them back. */
struct Mapping {
  void* data = nullptr;
  size_t length = 0;
  /** 0, or why there is no mapping: an errno value. */
  int error = 0;
  /** The call that failed. */
  const char* failed = "";
};

/**
 * Maps a whole regular file copy-on-write: nothing is written back. An empty file gives length 0 and no data. Where the
 * system has no mmap the file is read into memory instead. If another program shortens a mapped file, reading beyond
 * its new end kills the process (SIGBUS): that is the system's doing.
 */
Mapping mapFile(const std::string& path);
void releaseMapping(void* data, size_t length);

}  // namespace nibblelens
