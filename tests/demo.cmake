# The examples: the parts of package_search in a unit test, the programs from end to end.
if(NOT TARGET package_search)
  return()
endif()
target_link_libraries(package_search_test PRIVATE package_search_modules)
add_dependencies(quick_tests package_search quickstart)
find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_test(NAME package_search.AnswersFromAGeneratedIndexEndToEnd
         COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/package_search_run.py
                 $<TARGET_FILE:package_search>)
string(REPEAT "id +[0-9]+  distance [0-9.]+\n" 5 five_hits)
add_test(NAME quickstart.PrintsFiveHits COMMAND quickstart)
set_tests_properties(quickstart.PrintsFiveHits PROPERTIES
                     PASS_REGULAR_EXPRESSION "^${five_hits}$" TIMEOUT 300)
set_tests_properties(package_search.AnswersFromAGeneratedIndexEndToEnd PROPERTIES TIMEOUT 600)

# Stores of one's own pass the conformance kit.
foreach(example feature_store_map feature_store_sqlite)
  if(TARGET ${example})
    add_dependencies(quick_tests ${example})
    add_test(NAME ${example}.PassesEveryCheck COMMAND ${example})
  endif()
endforeach()
