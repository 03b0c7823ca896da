# Tables and plots of results, and a comparison on data small enough for a test.
if(TARGET peer_shoal)
  add_test(NAME Bench.FiguresAreComputedAsDocumented
           COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_SOURCE_DIR}/bench_figures_test.py
                   ${PROJECT_BINARY_DIR}/bench)
  set_tests_properties(Bench.FiguresAreComputedAsDocumented PROPERTIES TIMEOUT 600 LABELS check)
endif()
# The runner of jobs. The baselines say the same in every build, so the sanitizers' leave them out.
if(TARGET shoal-bench)
  add_test(NAME Bench.TheRunnerFromEndToEnd
           COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_SOURCE_DIR}/bench_runner_test.py
                   ${PROJECT_BINARY_DIR}/bench)
  set_tests_properties(Bench.TheRunnerFromEndToEnd PROPERTIES TIMEOUT 900 LABELS check)
  if(NOT SHOAL_SANITIZE)
    add_test(NAME Bench.CountsAreTheBaselinesToTheDigit
             COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_SOURCE_DIR}/bench_baseline_test.py
                     ${PROJECT_BINARY_DIR}/bench)
    set_tests_properties(Bench.CountsAreTheBaselinesToTheDigit PROPERTIES TIMEOUT 900 LABELS check)
  endif()
endif()
