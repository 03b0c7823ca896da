// Runs parsed jobs one after another and keeps the results file.
#pragma once

#include <filesystem>
#include <string>

#include "runner/job_file.h"

namespace shoal::bench {

// True: no job has failed; what each has done is in the file. An error: the file or the output
// directory cannot be written. `command`: how the program was called, for the file. From here on a
// SIGINT or SIGTERM ends the process with a word about what is kept.
Expected<bool> RunJobs(const JobFile& jobs, const std::filesystem::path& output_file,
                       const std::string& command);

}  // namespace shoal::bench
