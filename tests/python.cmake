# The Python package, built from an sdist in an environment of its own. 77: the package index cannot be reached.
shoal_house_test(ThePythonPackageFromAnSdist bindings/python/tests/run.py --source ${PROJECT_SOURCE_DIR}
                 --build ${PROJECT_BINARY_DIR})
set_tests_properties(House.ThePythonPackageFromAnSdist PROPERTIES TIMEOUT 2400 SKIP_RETURN_CODE 77)
# Other libraries' own tests, fetched: LangChain's, Haystack's, scikit-learn's, hnswlib's, diskannpy's.
shoal_house_test(OtherLibrariesTestsPassOverShoal bindings/python/tests/run.py --source ${PROJECT_SOURCE_DIR}
                 --build ${PROJECT_BINARY_DIR} --suites)
set_tests_properties(House.OtherLibrariesTestsPassOverShoal PROPERTIES TIMEOUT 3600 SKIP_RETURN_CODE 77
                     LABELS "stress;house")
# Both build in one folder.
set_tests_properties(House.ThePythonPackageFromAnSdist House.OtherLibrariesTestsPassOverShoal
                     PROPERTIES RESOURCE_LOCK python_environment)
