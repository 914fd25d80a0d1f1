// Memory from the system: mapped files, and large pages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace nibblelens {

/** Some bytes of a file; `releaseMapping` gives them back. */
struct Mapping {
  /** The first of the bytes asked for. */
  void* data = nullptr;
  /** What is held for them, from a page's start on. */
  void* base = nullptr;
  size_t held = 0;
  /** 0, or why there is no mapping: an errno value; ERANGE if the file does not have these bytes. */
  int error = 0;
  /** The call that failed. */
  const char* failed = "";
};

/**
 * Maps `length` bytes, at least 1, of a regular file copy-on-write: nothing is written back. Where the system has no
 * mmap they are read into memory instead. If another program shortens a mapped file, reading beyond its new end kills
 * the process (SIGBUS): that is the system's doing.
 */
Mapping mapFile(const std::string& path, uint64_t offset, size_t length);
/**
 * `length` bytes of zeros, in pages as large as the system has for the asking: a stream of weights crosses far fewer of
 * them. Memory is taken as it is first used.
 */
Mapping allocatePages(size_t length);
void releaseMapping(const Mapping& mapping);

}  // namespace nibblelens
