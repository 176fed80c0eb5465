#include "report/html.h"

#include <gtest/gtest.h>

#include "report/page_test_record.h"

namespace dovetail::report {
namespace {

TEST(RenderHtml, HoldsEverySectionAndNothingFromOutside) {
  const auto html = render_html(page_test_record());
  ASSERT_TRUE(html.has_value()) << html.error().message;
  for (const char* id : {"answer", "front", "baselines", "recipes", "prediction", "sensitivity",
                         "parts", "provenance"}) {
    EXPECT_NE(html->find(std::string("id='") + id + "'"), std::string::npos) << id;
  }
  for (const char* outside : {"http:", "https:", "src=", "@import", "url("}) {
    EXPECT_EQ(html->find(outside), std::string::npos) << outside;
  }
}

TEST(RenderHtml, EscapesWhatTheStudySays) {
  const auto html = render_html(page_test_record());
  ASSERT_TRUE(html.has_value());
  EXPECT_EQ(html->find("tiny <study>"), std::string::npos);
  EXPECT_NE(html->find("tiny &lt;study&gt;"), std::string::npos);
}

TEST(RenderHtml, ShowsMeasuredLossesBandsAndWhyNothingFits) {
  const auto html = render_html(page_test_record());
  ASSERT_TRUE(html.has_value());
  EXPECT_NE(html->find("0.0990 measured"), std::string::npos);
  EXPECT_NE(html->find("1.040 [1.010, 1.070] established"), std::string::npos);
  EXPECT_NE(html->find("area rejected 12 chips"), std::string::npos);
}

TEST(RenderHtml, MapsEverySiteWithItsResidentShare) {
  const auto html = render_html(page_test_record());
  ASSERT_TRUE(html.has_value());
  EXPECT_NE(html->find("title='layers.0.mlp_gate_up'>mxfp4"), std::string::npos);
  EXPECT_NE(html->find("title='head'>fp8_e4m3fn &#9632;25 %"), std::string::npos);
}

TEST(RenderHtmlError, NamesTheMissingKey) {
  Json record = page_test_record();
  record.erase("front");
  EXPECT_EQ(render_html(record).error().message,
            "record: front is missing, want the record of a study");
  record["schema_version"] = 99;
  EXPECT_EQ(render_html(record).error().message, "record: schema_version = 99, want 1");
  EXPECT_FALSE(render_html(Json(3)).has_value());
}

}  // namespace
}  // namespace dovetail::report
