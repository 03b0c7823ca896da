// generate-runbook, for the table in runner/main.cc.
#pragma once

#include <CLI/CLI.hpp>

namespace shoal::bench {

// As in runner/verb.h.
void AddGenerateRunbook(CLI::App& app, int& status);

}  // namespace shoal::bench
