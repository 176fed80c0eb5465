#include "model/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

namespace dovetail::model {

MappedFile::~MappedFile() {
  if (start_ != nullptr) munmap(const_cast<uint8_t*>(start_), size_);
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
  }
  close(fd);
  return std::shared_ptr<const MappedFile>(new MappedFile(path, start, size));
}

}  // namespace dovetail::model
