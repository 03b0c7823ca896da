# Writes OUTPUT, a header that names the commit of SOURCE; touches it only when that has changed.
#   cmake -DSOURCE=... -DOUTPUT=... -P commit.cmake
execute_process(COMMAND git -C ${SOURCE} describe --always --abbrev=12 --dirty --match=NoTagMatches
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE status ERROR_QUIET)
if(NOT status EQUAL 0)
  set(commit unknown)
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "#define SHOAL_BENCH_COMMIT \"${commit}\"\n")
