#include "report/page_text.h"

#include <gtest/gtest.h>
#include <zlib.h>

namespace dovetail::report {
namespace {

TEST(Escape, LeavesNoMarkup) {
  EXPECT_EQ(escape("<a href='x'>&\""), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;");
}

TEST(FillTemplate, FillsOnceAndNamesWhatIsMissing) {
  const auto page = fill_template("a {{x}} b {{y}}", {{"x", "{{y}}"}, {"y", "2"}});
  ASSERT_TRUE(page.has_value());
  EXPECT_EQ(*page, "a {{y}} b 2");
  EXPECT_EQ(fill_template("{{z}}", {}).error().message, "page template: {{z}} has no value");
}

// Oracle: a decoder by table look-up, then zlib's own inflate.
std::string inflate_base64(const std::string& text) {
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  uint32_t bits = 0;
  int num_bits = 0;
  for (const char c : text) {
    if (c == '=') break;
    bits = bits << 6 | static_cast<uint32_t>(digits.find(c));
    num_bits += 6;
    if (num_bits >= 8) bytes += static_cast<char>(bits >> (num_bits -= 8) & 0xff);
  }
  std::string out(1 << 20, '\0');
  uLongf size = out.size();
  EXPECT_EQ(uncompress(reinterpret_cast<Bytef*>(out.data()), &size,
                       reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()),
            Z_OK);
  out.resize(size);
  return out;
}

TEST(DeflateBase64, ComesBackAtEveryLength) {
  std::string text;
  for (int length = 0; length < 70; ++length) {
    const auto packed = deflate_base64(text);
    ASSERT_TRUE(packed.has_value());
    EXPECT_EQ(packed->size() % 4, 0U);
    EXPECT_EQ(inflate_base64(*packed), text);
    text += static_cast<char>('!' + length * 37 % 90);
  }
}

}  // namespace
}  // namespace dovetail::report
