// What the program can be asked to do. A verb adds its options to a CLI11 subcommand and a callback
// that does it; main.cc has the table.
#pragma once

#include <CLI/CLI.hpp>

namespace shoal::bench {

// `status`: what the program returns; the callback sets it.
using AddVerb = void (*)(CLI::App& app, int& status);

void AddInputs(CLI::App& app, int& status);
void AddBenchmarks(CLI::App& app, int& status);
void AddMachine(CLI::App& app, int& status);
void AddSkeleton(CLI::App& app, int& status);
void AddRun(CLI::App& app, int& status);
void AddCheck(CLI::App& app, int& status);
void AddDatabasePeer(CLI::App& app, int& status);     // jobs/database_peer.cc
void AddGenerateData(CLI::App& app, int& status);     // jobs/generate_data_verb.cc
void AddGenerateRunbook(CLI::App& app, int& status);  // runbook/generate_verb.cc

}  // namespace shoal::bench
