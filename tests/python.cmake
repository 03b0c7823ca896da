# The Python package, built from an sdist in an environment of its own. 77: the package index cannot be reached.
shoal_house_test(ThePythonPackageFromAnSdist bindings/python/tests/run.py --source ${PROJECT_SOURCE_DIR}
                 --build ${PROJECT_BINARY_DIR})
set_tests_properties(House.ThePythonPackageFromAnSdist PROPERTIES TIMEOUT 2400 SKIP_RETURN_CODE 77)
