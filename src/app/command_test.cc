#include "app/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "app/cli.h"
#include "app/cli_tree.h"
#include "app/help_texts.h"

namespace dovetail::app {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr auto kBetweenPrints = std::chrono::milliseconds(120);  // above the least the line waits

// What `report` makes of stderr where that is a terminal, or a pipe.
std::string shown_on_stderr(bool terminal, const std::function<void()>& report) {
  int reader = -1;
  int writer = -1;
  if (terminal) {
    EXPECT_EQ(::openpty(&reader, &writer, nullptr, nullptr, nullptr), 0);
  } else {
    int ends[2] = {-1, -1};
    EXPECT_EQ(::pipe(ends), 0);
    reader = ends[0];
    writer = ends[1];
  }
  std::fflush(stderr);
  const int before = ::dup(STDERR_FILENO);
  ::dup2(writer, STDERR_FILENO);
  report();
  std::fflush(stderr);
  ::dup2(before, STDERR_FILENO);
  ::close(before);
  // A terminal has no end that a reader sees while the writer is open.
  EXPECT_EQ(::write(writer, "!", 1), 1);
  std::string text;
  char c = 0;
  while (::read(reader, &c, 1) == 1 && c != '!') text += c;
  ::close(writer);
  ::close(reader);
  return text;
}

void three_steps() {
  const ProgressSink sink = terminal_progress();
  sink({"weighing stone 1 of 4", 0.25});
  std::this_thread::sleep_for(kBetweenPrints);
  sink({"weighing stone 2 of 4", 0.5});
  std::this_thread::sleep_for(kBetweenPrints);
  sink({"carrying", 0.0});
  end_progress();
}

TEST(TerminalProgress, RewritesOneLineWithShareAndTimeLeft) {
  ASSERT_EQ(::setenv("TERM", "xterm", 1), 0);
  const std::string text = shown_on_stderr(true, three_steps);
  EXPECT_THAT(text, HasSubstr("\r\033[Kweighing stone 1 of 4  25 %"));
  // After some 0.12 s at half: about as much is left, shown as whole seconds.
  EXPECT_THAT(text, testing::ContainsRegex("weighing stone 2 of 4  50 %, [0-9]+ s left"));
  EXPECT_THAT(text, HasSubstr("\r\033[Kcarrying"));
  EXPECT_THAT(text, Not(HasSubstr("\n")));
  EXPECT_TRUE(text.ends_with("\r\033[K"));  // the line is gone before the answer is printed
}

TEST(TerminalProgress, IsALineAPhaseElsewhere) {
  ASSERT_EQ(::setenv("TERM", "xterm", 1), 0);
  EXPECT_EQ(shown_on_stderr(false, three_steps), "weighing stone 1 of 4\ncarrying\n");
}

TEST(TerminalProgress, IsALineAPhaseOnADumbTerminal) {
  ASSERT_EQ(::setenv("TERM", "dumb", 1), 0);
  const std::string text = shown_on_stderr(true, three_steps);
  EXPECT_THAT(text, Not(HasSubstr("\033")));
}

// Help texts and the command line are two lists that must name the same things.

const Verb* find_verb(const Verb& root, std::string_view path) {
  if (root.path == path) return &root;
  for (const Verb& below : root.verbs) {
    if (const Verb* found = find_verb(below, path)) return found;
  }
  return nullptr;
}

#ifdef DOVETAIL_TORCH  // elsewhere the verbs that run models are missing on purpose
TEST(HelpTexts, EveryVerbOfThemExistsAndEveryExampleParses) {
  Action action;
  for (const HelpText& text : help_texts()) {
    for (const ExampleText& example : text.examples) {
      const auto app = make_app(action);  // an app parses once
      EXPECT_NO_THROW(app->parse(std::string(example.command))) << example.command;
    }
    if (text.verb.empty()) continue;
    const auto app = make_app(action);
    CLI::App* at = app.get();
    std::string_view rest = text.verb;
    while (!rest.empty()) {
      const size_t space = std::min(rest.find(' '), rest.size());
      const auto below = at->get_subcommands(nullptr);
      const auto found = std::ranges::find(below, rest.substr(0, space), &CLI::App::get_name);
      ASSERT_NE(found, below.end()) << text.verb;
      at = *found;
      rest.remove_prefix(std::min(space + 1, rest.size()));
    }
    for (const auto& [argument, kind] : text.values) {
      EXPECT_NE(at->get_option_no_throw(std::string(argument)), nullptr)
          << text.verb << " " << argument;
    }
  }
}

#endif

void expect_taught(const Verb& verb) {
  EXPECT_FALSE(verb.purpose.empty()) << verb.path;
  EXPECT_FALSE(verb.exits.empty()) << verb.path;
  EXPECT_FALSE(verb.examples.empty()) << verb.path;
  for (const Argument& argument : verb.arguments) {
    EXPECT_FALSE(argument.help.empty()) << verb.path << " " << argument.name;
    EXPECT_THAT(argument.value, Not(testing::AnyOf("TEXT", "FLOAT", "INT", "UINT")))
        << verb.path << " " << argument.name << ": say what kind of value it is";
  }
  for (const Verb& below : verb.verbs) expect_taught(below);
}

TEST(HelpTexts, EveryVerbIsTaughtWithExamplesAndKindsOfValues) {
  Action action;
  const auto app = make_app(action);
  expect_taught(describe_verb(*app));
}

TEST(HelpTexts, AValueThatRepeatsSaysSo) {
  Action action;
  const auto app = make_app(action);
  const Verb root = describe_verb(*app);
  const Verb* init = find_verb(root, "init");
  if (init == nullptr) GTEST_SKIP() << "this build has no init";
  for (const Argument& argument : init->arguments) {
    EXPECT_EQ(argument.repeats, argument.name == "--objective" || argument.name == "--kl-cap")
        << argument.name;
  }
}

}  // namespace
}  // namespace dovetail::app
