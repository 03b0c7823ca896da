# The proof of the concurrency protocol: models, directed races, stress, mutants.

# Race tests run against the parts that have sync points (src/base/hooks.h), compiled with them.
# The programs link these objects in place of the same members of libshoal, which are then never
# pulled in; everything else comes from there. Sync points stand in .cc files, and in a template
# (graph/searcher.h) that the other objects do not instantiate for the live index. So no function
# exists in two versions.
# (The sanitizers' builds have sync points in libshoal itself.)
set(hooked_objects "")
if(NOT SHOAL_TEST_HOOKS)
  file(GLOB hooked CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/*.cc
       ${PROJECT_SOURCE_DIR}/src/store/*.cc ${PROJECT_SOURCE_DIR}/src/graph/*.cc
       ${PROJECT_SOURCE_DIR}/src/features/*.cc)
  # No directed race goes through these.
  list(FILTER hooked EXCLUDE REGEX "/src/(database|c_api|diskann_files|key_map|size_estimate)[a-z_]*\\.cc$")
  add_library(shoal_hooked OBJECT ${hooked})
  target_include_directories(shoal_hooked PRIVATE ${PROJECT_SOURCE_DIR}/src
                                                  ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(shoal_hooked PRIVATE tl::expected Threads::Threads)
  target_compile_options(shoal_hooked PRIVATE -fno-math-errno -ffp-contract=off)
  target_compile_definitions(shoal_hooked PRIVATE SHOAL_TEST_HOOKS=1)
  if(SHOAL_PRECOMPILE_HEADERS)
    target_precompile_headers(shoal_hooked PRIVATE ${shared_headers})
  endif()
  set(hooked_objects $<FILTER:$<TARGET_OBJECTS:shoal_hooked>,INCLUDE,\\.o$>)
endif()
target_compile_definitions(sequencer_test PRIVATE SHOAL_TEST_HOOKS=1)
add_custom_target(race_tests)  # These and the stress programs: see tools/run_tests.sh.
foreach(name ${race_programs})
  add_dependencies(race_tests ${name})
  target_compile_definitions(${name} PRIVATE SHOAL_TEST_HOOKS=1)
  target_sources(${name} PRIVATE ${hooked_objects})
  target_link_libraries(${name} PRIVATE PkgConfig::HWY)
endforeach()

# The exhaustive models. They need no code of ours, so the sanitizer builds leave them out.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
if(NOT SHOAL_SANITIZE)
  add_test(NAME Models.SmallSizesHoldAndEveryMutantFails
           COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/models/run.py small)
  set_tests_properties(Models.SmallSizesHoldAndEveryMutantFails PROPERTIES TIMEOUT 900 LABELS check)
  add_test(NAME Models.LargeSizesHold
           COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/models/run.py large)
  # Gigabytes: alone.
  set_tests_properties(Models.LargeSizesHold PROPERTIES TIMEOUT 14400 LABELS stress RUN_SERIAL ON)
endif()

# The stress programs: a few seconds each in every build, minutes in `make stress`.
function(shoal_stress name seconds long_seconds)
  add_executable(${name} stress/${name}.cc ${hooked_objects})
  target_compile_definitions(${name} PRIVATE SHOAL_TEST_HOOKS=1)
  target_link_libraries(${name} PRIVATE shoal::shoal PkgConfig::HWY)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src ${CMAKE_CURRENT_SOURCE_DIR})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  add_dependencies(concurrency_tests ${name})
  add_dependencies(race_tests ${name})
  add_test(NAME Stress.${name} COMMAND ${name} --seconds ${seconds})
  set_tests_properties(Stress.${name} PROPERTIES TIMEOUT 600 LABELS "check;concurrency")
  add_test(NAME LongStress.${name} COMMAND ${name} --seconds ${long_seconds} --threads 8)
  set_tests_properties(LongStress.${name} PROPERTIES TIMEOUT 3600 LABELS "stress;concurrency")
endfunction()
# The mutants: the protocol broken on purpose, and noticed. They compile their own programs.
if(NOT SHOAL_SANITIZE)
  add_test(NAME Mutants.EveryPatchApplies
           COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/mutants/run.py --apply)
  add_test(NAME Mutants.TheQuickestAreNoticed
           COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/mutants/run.py
                   --cxx ${CMAKE_CXX_COMPILER} --quick)
  set_tests_properties(Mutants.EveryPatchApplies PROPERTIES LABELS check)
  set_tests_properties(Mutants.TheQuickestAreNoticed PROPERTIES TIMEOUT 900 LABELS check)
  add_test(NAME Mutants.AllAreNoticed
           COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/mutants/run.py
                   --cxx ${CMAKE_CXX_COMPILER} --library $<TARGET_FILE:shoal>
                   "--needs=$<JOIN:${URING_LINK_LIBRARIES}, >")
  set_tests_properties(Mutants.AllAreNoticed PROPERTIES TIMEOUT 7200 LABELS stress RUN_SERIAL ON)
endif()

shoal_stress(epoch_stress 3 120)
shoal_stress(centre_stress 5 600)
shoal_stress(feature_stress 3 120)
shoal_stress(slot_stress 3 120)
shoal_stress(edge_stress 3 120)
shoal_stress(index_stress 5 600)
shoal_stress(history_stress 5 600)
shoal_stress(hub_stress 5 120)
shoal_stress(shape_stress 5 600)
