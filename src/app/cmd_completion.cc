// dovetail completion: what a shell needs to complete the command line.
#include <memory>

#include "app/command.h"
#include "app/completion.h"

namespace dovetail::app {

void add_completion_command(CLI::App& app, Action& action) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("completion", "print a completion script");
  command->add_option("shell", *shell, "which shell")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->callback([shell, &app, &action] {
    action = [shell, &app]() -> Status {
      std::string script = completion_script(*shell, describe_verb(app), installed_names());
      script.pop_back();  // print_line adds the line end
      print_line(script);
      return {};
    };
  });
}

}  // namespace dovetail::app
