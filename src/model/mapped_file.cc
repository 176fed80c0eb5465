#include "model/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#ifdef DOVETAIL_GUARD_MAPPED_FILES
#include <sanitizer/asan_interface.h>
#endif

namespace dovetail::model {
namespace {

// The last page goes on behind the file, so reading too far would go unnoticed. Under the address
// sanitizer it is an error; elsewhere this does nothing.
void guard_tail([[maybe_unused]] const uint8_t* start, [[maybe_unused]] size_t size,
                [[maybe_unused]] bool on) {
#ifdef DOVETAIL_GUARD_MAPPED_FILES
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t tail = (page - size % page) % page;
  if (on) {
    __asan_poison_memory_region(start + size, tail);
  } else {
    __asan_unpoison_memory_region(start, size + tail);
  }
#endif
}

}  // namespace

MappedFile::~MappedFile() {
  if (start_ == nullptr) return;
  guard_tail(start_, size_, false);
  munmap(const_cast<uint8_t*>(start_), size_);
}

void MappedFile::release_pages() const {
  if (start_ != nullptr) madvise(const_cast<uint8_t*>(start_), size_, MADV_DONTNEED);
}

Result<std::shared_ptr<const MappedFile>> map_file(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const std::string reason = std::strerror(errno);
    return not_found(fmt::format("{}: cannot be opened: {}", path, reason));
  }
  struct stat status = {};
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(fd);
    return invalid_argument(fmt::format("{}: is not a regular file", path));
  }
  const auto size = static_cast<size_t>(status.st_size);
  const uint8_t* start = nullptr;
  if (size > 0) {
    void* mapping = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapping == MAP_FAILED) {
      const std::string reason = std::strerror(errno);
      close(fd);
      return io_error(fmt::format("{}: cannot be mapped: {}", path, reason));
    }
    start = static_cast<const uint8_t*>(mapping);
    guard_tail(start, size, true);
  }
  close(fd);
  return std::shared_ptr<const MappedFile>(new MappedFile(path, start, size));
}

}  // namespace dovetail::model
