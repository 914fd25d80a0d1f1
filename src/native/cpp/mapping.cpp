#include "mapping.h"

#include <cerrno>

#ifdef _WIN32
#include <cstdio>
#include <cstdlib>
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace nibblelens {

#ifdef _WIN32

Mapping mapFile(const std::string& path, uint64_t offset, size_t length) {
  Mapping mapping;
  const auto fail = [&](const char* call, int error) {
    mapping.error = error ? error : EIO;
    mapping.failed = call;
  };
  FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) {
    fail("open", errno);
    return mapping;
  }
  _fseeki64(file, 0, SEEK_END);
  const uint64_t size = static_cast<uint64_t>(_ftelli64(file));
  if (size < length || size - length < offset) {
    fail("read", ERANGE);
  } else if (!(mapping.base = std::malloc(length))) {
    fail("malloc", errno);
  } else {
    mapping.data = mapping.base;
    mapping.held = length;
    _fseeki64(file, static_cast<int64_t>(offset), SEEK_SET);
    if (std::fread(mapping.data, 1, length, file) != length) {
      fail("read", errno);
      releaseMapping(mapping);
    }
  }
  std::fclose(file);
  return mapping;
}

Mapping allocatePages(size_t length) {
  Mapping mapping;
  mapping.data = mapping.base = std::calloc(length, 1);
  mapping.held = length;
  if (!mapping.base) {
    mapping.error = ENOMEM;
    mapping.failed = "calloc";
  }
  return mapping;
}

void releaseMapping(const Mapping& mapping) { std::free(mapping.base); }

#else

#ifdef MAP_NORESERVE
constexpr int kNoReserve = MAP_NORESERVE;
#else
constexpr int kNoReserve = 0;
#endif

Mapping mapFile(const std::string& path, uint64_t offset, size_t length) {
  Mapping mapping;
  const auto fail = [&](const char* call, int error) {
    mapping.error = error;
    mapping.failed = call;
  };
  // O_NONBLOCK: a FIFO would wait for its writer
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) {
    fail("open", errno);
    return mapping;
  }
  struct stat status;
  if (fstat(file, &status) != 0) {
    fail("fstat", errno);
  } else if (!S_ISREG(status.st_mode)) {
    fail("mmap", S_ISDIR(status.st_mode) ? EISDIR : EINVAL);
  } else if (const auto size = static_cast<uint64_t>(status.st_size); size < length || size - length < offset) {
    fail("mmap", ERANGE);
  } else {
    const size_t intoPage = offset % static_cast<size_t>(sysconf(_SC_PAGESIZE));
    mapping.held = intoPage + length;
    // Pages of the file need no reserve in swap until they are written, and they seldom are.
    mapping.base = mmap(nullptr, mapping.held, PROT_READ | PROT_WRITE, MAP_PRIVATE | kNoReserve, file,
                        static_cast<off_t>(offset - intoPage));
    if (mapping.base == MAP_FAILED) {
      mapping.base = nullptr;
      fail("mmap", errno);
    } else {
      mapping.data = static_cast<char*>(mapping.base) + intoPage;
    }
  }
  close(file);
  return mapping;
}

Mapping allocatePages(size_t length) {
  Mapping mapping;
  constexpr size_t kLargePage = size_t{1} << 21;
  mapping.held = length + kLargePage;
  mapping.base = mmap(nullptr, mapping.held, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | kNoReserve, -1, 0);
  if (mapping.base == MAP_FAILED) {
    mapping.base = nullptr;
    mapping.error = errno;
    mapping.failed = "mmap";
    return mapping;
  }
  const size_t intoPage = reinterpret_cast<uintptr_t>(mapping.base) % kLargePage;
  mapping.data = static_cast<char*>(mapping.base) + (intoPage == 0 ? 0 : kLargePage - intoPage);
#ifdef MADV_HUGEPAGE
  // Where large pages are switched off it fails, and small ones do.
  madvise(mapping.data, length, MADV_HUGEPAGE);
#endif
  return mapping;
}

void releaseMapping(const Mapping& mapping) { munmap(mapping.base, mapping.held); }

#endif

}  // namespace nibblelens
