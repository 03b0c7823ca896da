# Tests of the house itself: what is installed, which layer includes which, formatting, documents.
find_package(Python3 REQUIRED COMPONENTS Interpreter)

function(shoal_house_test name script)
  add_test(NAME House.${name} COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/${script} ${ARGN})
  set_tests_properties(House.${name} PROPERTIES TIMEOUT 600 LABELS "check;house")
endfunction()

shoal_house_test(FloorsIncludeOnlyWhatTheyMay tools/check_layers.py)
shoal_house_test(EveryLayerViolationIsCaught tools/check_layers.py --self-test)
shoal_house_test(CodeIsFormatted tools/check_tree.py format)
shoal_house_test(LinksInDocumentsResolve tools/check_tree.py links)
shoal_house_test(NoFileNamesAPlaceOnOneMachine tools/check_tree.py paths)
shoal_house_test(FilesAreShort tools/check_tree.py length)
shoal_house_test(TestsThatDocumentsNameAreThere tools/check_tree.py tests)
shoal_house_test(EveryTreeCheckFindsWhatItIsThereFor tools/check_tree.py self-test)
# All links lead somewhere, and every page is in the navigation.
find_program(MKDOCS mkdocs REQUIRED)
add_test(NAME House.TheDocumentationSiteBuilds
         COMMAND ${MKDOCS} build --quiet --strict --clean --config-file ${PROJECT_SOURCE_DIR}/mkdocs.yml
                 --site-dir ${PROJECT_BINARY_DIR}/site)
set_tests_properties(House.TheDocumentationSiteBuilds PROPERTIES TIMEOUT 300 LABELS "check;house")
shoal_house_test(DepsSaysWithoutRootWhatIsMissing tests/deps_test.py)

# Clang's eyes on every source and the headers it brings along, lock annotations included.
find_program(CLANG_TIDY clang-tidy-16 REQUIRED)
# Sources of one folder are checked together (tools/tidy.py), but those that a compiler reads once per
# instruction set.
function(shoal_tidy_test name)
  list(TRANSFORM ARGN PREPEND ${PROJECT_SOURCE_DIR}/src/)
  add_test(NAME Tidy.${name} COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/tools/tidy.py --tidy ${CLANG_TIDY}
                                     --build ${PROJECT_BINARY_DIR} ${ARGN})
  set_tests_properties(Tidy.${name} PROPERTIES TIMEOUT 900 LABELS "check;house;tidy")
endfunction()
file(GLOB_RECURSE tidied CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/src
     ${PROJECT_SOURCE_DIR}/src/*.cc)
set(group "")
set(group_folder "")
foreach(source ${tidied} "")
  get_filename_component(folder "${source}" DIRECTORY)
  list(LENGTH group size)
  if(size EQUAL 8 OR NOT folder STREQUAL group_folder OR NOT source)
    if(group)
      list(GET group 0 first)
      shoal_tidy_test(${first} ${group})
    endif()
    set(group "")
    set(group_folder "${folder}")
  endif()
  file(STRINGS "${PROJECT_SOURCE_DIR}/src/${source}" per_target REGEX "foreach_target")
  if(per_target)
    shoal_tidy_test(${source} ${source})
  elseif(source)
    list(APPEND group ${source})
  endif()
endforeach()

if(TARGET shoal_vset)
  foreach(part core module)
    file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/bindings/valkey/${part}/*.cc)
    add_test(NAME Tidy.vector_sets_${part}
             COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/tools/tidy.py --tidy ${CLANG_TIDY}
                     --build ${PROJECT_BINARY_DIR} ${sources})
    set_tests_properties(Tidy.vector_sets_${part} PROPERTIES TIMEOUT 900 LABELS "check;house;tidy")
  endforeach()
endif()

# The consumer would have to be built with the sanitizer too.
if(SHOAL_INSTALL AND SHOAL_BUILD_SHARED AND NOT SHOAL_SANITIZE)
  shoal_house_test(ProgramsOutsideUseTheInstalledPackage tests/package/package_test.py
                   --source ${PROJECT_SOURCE_DIR} --build ${PROJECT_BINARY_DIR}
                   --cxx ${CMAKE_CXX_COMPILER})
endif()
if(COMMAND cpack_add_component AND SHOAL_BUILD_APPS AND NOT SHOAL_SANITIZE)
  shoal_house_test(DebianPackagesAreUnpackedAndUsed tests/package/debian_test.py
                   --source ${PROJECT_SOURCE_DIR} --build ${PROJECT_BINARY_DIR}
                   --cxx ${CMAKE_CXX_COMPILER})
endif()
if(SHOAL_BUILD_SHARED AND NOT SHOAL_SANITIZE)
  shoal_house_test(TheCInterfaceIsTheOneOnRecord tests/package/abi_test.py --source ${PROJECT_SOURCE_DIR})
endif()
