# The Python package, built from an sdist in an environment of its own. 77: the package index cannot be reached, which
# is an error in CI.
shoal_house_test(ThePythonPackageFromAnSdist bindings/python/tests/run.py --source ${PROJECT_SOURCE_DIR}
                 --build ${PROJECT_BINARY_DIR})
set_tests_properties(House.ThePythonPackageFromAnSdist PROPERTIES TIMEOUT 2400 SKIP_RETURN_CODE 77)
# Other libraries' own tests, from the package index: LangChain's, Haystack's, scikit-learn's, LlamaIndex's.
shoal_house_test(OtherLibrariesTestsPassOverShoal bindings/python/tests/run.py --source ${PROJECT_SOURCE_DIR}
                 --build ${PROJECT_BINARY_DIR} --suites packages)
set_tests_properties(House.OtherLibrariesTestsPassOverShoal PROPERTIES TIMEOUT 1200 SKIP_RETURN_CODE 77)
# hnswlib's and diskannpy's, which are in repositories only: the package index does not have them.
shoal_house_test(HnswlibsAndDiskannpysTestsPassOverShoal bindings/python/tests/run.py --source ${PROJECT_SOURCE_DIR}
                 --build ${PROJECT_BINARY_DIR} --suites clones)
set_tests_properties(House.HnswlibsAndDiskannpysTestsPassOverShoal PROPERTIES TIMEOUT 3600 SKIP_RETURN_CODE 77
                     LABELS "stress;house")
# All build in one folder.
set_tests_properties(House.ThePythonPackageFromAnSdist House.OtherLibrariesTestsPassOverShoal
                     House.HnswlibsAndDiskannpysTestsPassOverShoal PROPERTIES RESOURCE_LOCK python_environment)
# The longest of all checks, and one that waits for it: begun first, others run beside both.
set_tests_properties(House.ThePythonPackageFromAnSdist PROPERTIES COST 900)
set_tests_properties(House.OtherLibrariesTestsPassOverShoal PROPERTIES COST 800)
