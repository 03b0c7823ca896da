// The verbs of the `shoal` command.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "apps/shoal/place.h"
#include "shoal/result.h"

namespace shoal::apps {

// Exit statuses.
inline constexpr int kDone = 0, kFailed = 1, kWrongUsage = 2, kDamaged = 3, kNoFile = 4;

// What a verb does once its arguments have been read: an exit status, or an error, which is printed
// as one line.
using Action = std::function<Result<int>()>;

// Declares verbs; the one that is named in the arguments sets *action.
void AddWritingVerbs(CLI::App& app, Action* action);    // create, insert, upsert, delete, ...
void AddSearchingVerbs(CLI::App& app, Action* action);  // search, get, ids, count, bench
void AddFileVerbs(CLI::App& app, Action* action);       // stat, verify, backup, import, export
void AddDumpVerbs(CLI::App& app, Action* action);       // dump, load

// A verb with the example that its --help shows.
CLI::App* AddVerb(CLI::App& app, const std::string& name, const std::string& description,
                  const std::string& example);
// The arguments that say where the index is.
void AddPlace(CLI::App& verb, Place* place);

}  // namespace shoal::apps
