# Tests of the house itself: what is installed, who includes whom, formatting, documents.
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
function(shoal_tidy_test folder)
  file(GLOB_RECURSE tidied CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/${folder}
       ${PROJECT_SOURCE_DIR}/${folder}/*.cc)
  foreach(source ${tidied})
    add_test(NAME Tidy.${source} COMMAND ${CLANG_TIDY} -p ${PROJECT_BINARY_DIR} --quiet
                                         ${PROJECT_SOURCE_DIR}/${folder}/${source})
    set_tests_properties(Tidy.${source} PROPERTIES TIMEOUT 600 LABELS "check;house;tidy")
  endforeach()
endfunction()
shoal_tidy_test(src)
if(TARGET shoal_vset)
  shoal_tidy_test(bindings/valkey/core)
  shoal_tidy_test(bindings/valkey/module)
endif()

# The consumer would have to be built with the sanitizer too.
if(SHOAL_INSTALL AND SHOAL_BUILD_SHARED AND NOT SHOAL_SANITIZE)
  shoal_house_test(ProgramsOutsideUseTheInstalledPackage tests/package/package_test.py
                   --source ${PROJECT_SOURCE_DIR} --build ${PROJECT_BINARY_DIR}
                   --cxx ${CMAKE_CXX_COMPILER})
endif()
