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

Mapping mapFile(const std::string& path) {
  Mapping mapping;
  const auto fail = [&](const char* call) {
    mapping.error = errno ? errno : EIO;
    mapping.failed = call;
  };
  FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) {
    fail("open");
    return mapping;
  }
  _fseeki64(file, 0, SEEK_END);
  mapping.length = static_cast<size_t>(_ftelli64(file));
  _fseeki64(file, 0, SEEK_SET);
  if (mapping.length > 0) {
    mapping.data = std::malloc(mapping.length);
    if (!mapping.data) fail("malloc");
    else if (std::fread(mapping.data, 1, mapping.length, file) != mapping.length) {
      fail("read");
      releaseMapping(mapping.data, mapping.length);
      mapping.data = nullptr;
    }
  }
  std::fclose(file);
  return mapping;
}

void releaseMapping(void* data, size_t) { std::free(data); }

#else

#ifdef MAP_NORESERVE
constexpr int kNoReserve = MAP_NORESERVE;
#else
constexpr int kNoReserve = 0;
#endif

Mapping mapFile(const std::string& path) {
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
  } else if (status.st_size > 0) {
    mapping.length = static_cast<size_t>(status.st_size);
    // Pages of the file need no reserve in swap until they are written, and they seldom are.
    mapping.data = mmap(nullptr, mapping.length, PROT_READ | PROT_WRITE, MAP_PRIVATE | kNoReserve, file, 0);
    if (mapping.data == MAP_FAILED) {
      mapping.data = nullptr;
      fail("mmap", errno);
    }
  }
  close(file);
  return mapping;
}

void releaseMapping(void* data, size_t length) { munmap(data, length); }

#endif

}  // namespace nibblelens
