# The command lines, from end to end.
if(NOT TARGET search_memory_index)
  return()
endif()
find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_test(NAME cli.ProgramsFromEndToEnd
         COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/cli_test.py
                 ${PROJECT_BINARY_DIR}/apps)
set_tests_properties(cli.ProgramsFromEndToEnd PROPERTIES TIMEOUT 900 LABELS check)
add_test(NAME cli.StreamingProgramsFromEndToEnd
         COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/streaming_test.py
                 ${PROJECT_BINARY_DIR}/apps)
set_tests_properties(cli.StreamingProgramsFromEndToEnd PROPERTIES TIMEOUT 1800 LABELS check)
add_test(NAME cli.TheShoalCommandDoesWhatItsHelpSays
         COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/command_test.py
                 $<TARGET_FILE:shoal_command>)
set_tests_properties(cli.TheShoalCommandDoesWhatItsHelpSays PROPERTIES TIMEOUT 600 LABELS check)
add_test(NAME cli.ProgramsWithLabelsRunTheCommandsOfDiskannsCi
         COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/labels_cli_test.py
                 ${PROJECT_BINARY_DIR}/apps)
set_tests_properties(cli.ProgramsWithLabelsRunTheCommandsOfDiskannsCi PROPERTIES TIMEOUT 600 LABELS check)
