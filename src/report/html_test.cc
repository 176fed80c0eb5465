#include "report/html.h"

#include <gtest/gtest.h>

#include "report/page_test_record.h"

namespace dovetail::report {
namespace {

TEST(RenderHtml, HoldsTheSentencesTheLibraryAndNothingFromOutside) {
  const auto html = render_html(page_test_record());
  ASSERT_TRUE(html.has_value()) << html.error().message;
  EXPECT_NE(html->find("For request latency at a loss of at most 0.1"), std::string::npos);
  EXPECT_NE(html->find("Mike Bostock"), std::string::npos);
  for (const char* outside : {" src=", "@import", "<link", "url(http"}) {
    EXPECT_EQ(html->find(outside), std::string::npos) << outside;
  }
}

TEST(RenderHtml, EscapesWhatTheStudySays) {
  Json record = page_test_record();
  record["name"] = "</script><script>alert(1)</script>";
  record["products"][0]["name"] = "{{script}}<img onerror=x>";
  record["scenarios"][0]["recommendation"]["products"][0]["name"] = "{{script}}<img onerror=x>";
  const auto html = render_html(record);
  ASSERT_TRUE(html.has_value()) << html.error().message;
  EXPECT_EQ(html->find("<script>alert"), std::string::npos);
  EXPECT_EQ(html->find("<img"), std::string::npos);
  EXPECT_NE(html->find("{{script}}&lt;img onerror=x&gt;"), std::string::npos);
}

TEST(RenderHtml, TextThatIsNoUtf8StillGivesAPage) {
  Json record = page_test_record();
  record["texts"]["select"]["description"] = "\xff\xfe";
  EXPECT_TRUE(render_html(record).has_value());
}

TEST(RenderHtml, SameRecordSamePage) {
  EXPECT_EQ(*render_html(page_test_record()), *render_html(page_test_record()));
}

TEST(RenderHtmlError, NamesTheMissingKey) {
  Json record = page_test_record();
  record.erase("front");
  EXPECT_EQ(render_html(record).error().message,
            "record: front is missing, want the record of a study");
  record["schema_version"] = 99;
  EXPECT_EQ(render_html(record).error().message, "record: schema_version = 99, want 2");
  EXPECT_FALSE(render_html(Json(3)).has_value());
}

}  // namespace
}  // namespace dovetail::report
