# The module inside servers that the tests start on loopback. 77: no server is here, and none can be had.
set(valkey_tests ${PROJECT_SOURCE_DIR}/bindings/valkey/tests)

function(shoal_server_test name labels timeout)
  add_test(NAME Server.${name} COMMAND ${Python3_EXECUTABLE} ${valkey_tests}/run.py --module $<TARGET_FILE:shoal_vset>
                                       --build ${PROJECT_BINARY_DIR} ${ARGN})
  set_tests_properties(Server.${name} PROPERTIES TIMEOUT ${timeout} LABELS "${labels}" SKIP_RETURN_CODE 77)
endfunction()

set(quick test_abi test_commands test_persistence test_replication test_lifecycle test_cluster test_partitions test_import
          test_cluster_load)
if(NOT TARGET shoal_vset)
  return()
endif()
if(SHOAL_SANITIZE MATCHES "address|thread")
  shoal_server_test(TheSameUnderASanitizer "stress" 3600 --sanitizer ${CMAKE_MATCH_0}
                    test_commands test_persistence test_replication test_lifecycle.Lifecycle)
else()
  shoal_server_test(CommandsPersistenceReplicasCluster "check" 600 ${quick})
  shoal_server_test(TheSameOnValkey "stress" 1200 --server valkey8 ${quick})
  shoal_server_test(LongRunsOfTheSame "stress" 3600 --long ${quick})
  shoal_server_test(RandomCommandsBesideRedis8 "stress" 1200 --long test_differential)
  shoal_server_test(TestsOfRedisPy "stress" 1200 test_redis_py)
endif()
