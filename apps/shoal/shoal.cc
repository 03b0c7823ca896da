// shoal VERB FILE [options]: an index in a snapshot file or a database, from the shell.
//
// Data goes to stdout, everything else to stderr. Exit status: 0 done, 1 failed (one line on
// stderr), 2 wrong usage, 3 verify found damage, 4 a file is not there (one line), 130 Ctrl-C.
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>

#include "apps/shoal/verb.h"
#include "shoal/version.h"

namespace shoal::apps {
namespace {

// Words for a command line that is being typed: the verbs, or a verb's options.
std::string Completions(const CLI::App& app, const std::string& verb) {
  std::string words;
  for (const CLI::App* sub : app.get_subcommands(nullptr)) {
    if (verb.empty() && !sub->get_group().empty()) words += sub->get_name() + "\n";
    if (sub->get_name() != verb) continue;
    for (const CLI::Option* option : sub->get_options())
      for (const std::string& name : option->get_lnames()) words += "--" + name + "\n";
  }
  return words;
}

// Scripts that ask this program for the words, so that they never go stale.
constexpr const char* kBash = R"sh(_shoal() {
  local verb=
  [ "$COMP_CWORD" -gt 1 ] && verb="${COMP_WORDS[1]}"
  local word="${COMP_WORDS[COMP_CWORD]}"
  if [ "$COMP_CWORD" -eq 1 ] || [[ "$word" == -* ]]; then
    COMPREPLY=($(compgen -W "$(shoal words $verb)" -- "$word"))
  else
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}
complete -o filenames -F _shoal shoal
)sh";
constexpr const char* kZsh = R"sh(#compdef shoal
if (( CURRENT == 2 )); then
  compadd -- $(shoal words)
elif [[ "$words[CURRENT]" == -* ]]; then
  compadd -- $(shoal words $words[2])
else
  _files
fi
)sh";
constexpr const char* kFish = R"sh(complete -c shoal -n __fish_use_subcommand -f -a '(shoal words)'
complete -c shoal -n 'not __fish_use_subcommand' -a '(shoal words (commandline -opc)[2])'
)sh";

Result<int> PrintCompletion(const std::string& shell) {
  const char* script = shell == "bash"   ? kBash
                       : shell == "zsh"  ? kZsh
                       : shell == "fish" ? kFish
                                         : nullptr;
  if (script == nullptr)
    return MakeError(ErrorCode::kInvalidArgument,
                     "completion: expected bash, zsh or fish, found " + shell);
  std::fputs(script, stdout);
  return kDone;
}

void AddCompletion(CLI::App& app, Action* action) {
  static std::string shell, verb;
  CLI::App* completion =
      AddVerb(app, "completion", "Prints a script that completes the words of this command.",
              "shoal completion bash > ~/.local/share/bash-completion/completions/shoal");
  completion->add_option("shell", shell, "bash, zsh or fish")->required();
  completion->callback([action] { *action = [] { return PrintCompletion(shell); }; });
  CLI::App* words = app.add_subcommand("words")->group("");  // For those scripts.
  words->add_option("verb", verb);
  words->callback([action, &app] {
    *action = [&app]() -> Result<int> {
      fmt::print("{}", Completions(app, verb));
      return kDone;
    };
  });
}

int Run(int argc, char** argv) {
  CLI::App app(
      "An index in a snapshot file or a database: points come and go, searches read the file in "
      "place.",
      "shoal");
  app.set_version_flag("--version", std::string(Version()));
  app.require_subcommand(1);
  app.footer(
      "Each verb has a --help with an example. Exit status: 0 done, 1 failed, 2 wrong usage, "
      "3 damage found, 4 a file is not there.");
  Action action;
  AddWritingVerbs(app, &action);
  AddSearchingVerbs(app, &action);
  AddFileVerbs(app, &action);
  AddDumpVerbs(app, &action);
  AddCompletion(app, &action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version.
    fmt::print(stderr, "shoal: {}\n", error.what());
    return kWrongUsage;
  }
  const Result<int> status = action();
  if (status) return *status;
  fmt::print(stderr, "shoal: {}\n", status.error().message);
  return status.error().code == ErrorCode::kFileNotFound ? kNoFile : kFailed;
}

}  // namespace

CLI::App* AddVerb(CLI::App& app, const std::string& name, const std::string& description,
                  const std::string& example) {
  CLI::App* verb = app.add_subcommand(name, description);
  verb->footer("Example:\n  " + example);
  return verb;
}

void AddPlace(CLI::App& verb, Place* place) {
  verb.add_option("file", place->file, "a snapshot, or a database")->required();
  verb.add_option("--index", place->index, "of a database: the index; by default its only one");
}

}  // namespace shoal::apps

int main(int argc, char** argv) {
  // Snapshots are replaced as a whole, and databases lose nothing of a process that ends: an
  // interrupted command leaves the file as it was.
  std::signal(SIGINT, [](int) { _exit(130); });
  return shoal::apps::Run(argc, argv);
}
