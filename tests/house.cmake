# Tests of the house itself: what is installed, who includes whom, formatting, documents.
find_package(Python3 REQUIRED COMPONENTS Interpreter)

# A Python program as a test; it finds the tree by --source.
function(shoal_script_test name script)
  add_test(NAME ${name} COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/${script}
                                --source ${PROJECT_SOURCE_DIR} ${ARGN})
  set_tests_properties(${name} PROPERTIES TIMEOUT 600 LABELS house)
endfunction()

# The consumer would have to be built with the sanitizer too.
if(SHOAL_INSTALL AND SHOAL_BUILD_SHARED AND NOT SHOAL_SANITIZE)
  shoal_script_test(House.InstalledPackage package/package_test.py
                    --build ${PROJECT_BINARY_DIR} --cxx ${CMAKE_CXX_COMPILER})
endif()
