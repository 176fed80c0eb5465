#include "host/buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <string>

namespace dovetail::host {
namespace {

TEST(Buffer, HoldsWhatItWasMadeFor) {
  for (const int64_t count : {0, 1, 1000, 1 << 20, (1 << 20) + 1}) {
    const Buffer buffer = make_buffer(count);
    ASSERT_NE(buffer, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.get()) % 64, 0);
    std::fill_n(buffer.get(), count, 1.5F);
    EXPECT_EQ(std::count(buffer.get(), buffer.get() + count, 1.5F), count);
  }
}

// Memory of this process in huge pages, in KiB; -1 where the kernel does not tell.
int64_t huge_kib() {
  std::ifstream file("/proc/self/smaps_rollup");
  std::string name;
  int64_t value = 0;
  std::string unit;
  std::string header;
  std::getline(file, header);
  while (file >> name >> value >> unit)
    if (name == "AnonHugePages:") return value;
  return -1;
}

TEST(Buffer, LargeOnesLieInHugePages) {
  std::string modes;
  std::getline(std::ifstream("/sys/kernel/mm/transparent_hugepage/enabled"), modes);
  if (modes.empty() || modes.contains("[never]")) GTEST_SKIP() << "no huge pages on this system";
  constexpr int64_t kCount = int64_t{1} << 23;  // 32 MiB
  const int64_t before = huge_kib();
  const Buffer buffer = make_buffer(kCount);
  std::fill_n(buffer.get(), kCount, 1.0F);
  if (huge_kib() == before) GTEST_SKIP() << "the system has no huge page to spare";
  EXPECT_GE(huge_kib() - before, 2 << 10);
}

}  // namespace
}  // namespace dovetail::host
