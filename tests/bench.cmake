# The benchmark jobs, on data small enough for a test.
if(TARGET peer_shoal)
  add_test(NAME Bench.FiguresAreComputedAsDocumented
           COMMAND ${Python3_EXECUTABLE} -B ${PROJECT_SOURCE_DIR}/bench/curves_test.py
                   ${PROJECT_BINARY_DIR}/bench)
  set_tests_properties(Bench.FiguresAreComputedAsDocumented PROPERTIES TIMEOUT 600)
endif()
