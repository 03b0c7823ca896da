# The module inside servers that the tests start on loopback. 77: no server is here, and none can be had.
set(valkey_tests ${PROJECT_SOURCE_DIR}/bindings/valkey/tests)

function(shoal_server_test name labels timeout)
  add_test(NAME Server.${name} COMMAND ${Python3_EXECUTABLE} ${valkey_tests}/run.py --module $<TARGET_FILE:shoal_vset>
                                       --build ${PROJECT_BINARY_DIR} ${ARGN})
  set_tests_properties(Server.${name} PROPERTIES TIMEOUT ${timeout} LABELS "${labels}" SKIP_RETURN_CODE 77)
endfunction()

set(quick test_abi test_commands test_persistence test_replication test_lifecycle test_cluster test_partitions test_import
          test_cluster_load test_bus test_tls)
if(NOT TARGET shoal_vset)
  return()
endif()
if(SHOAL_SANITIZE MATCHES "address|thread")
  set(sanitizer ${CMAKE_MATCH_0})
  # `make check` has this one. Its name and label are what tools/run_tests.sh asks for.
  add_dependencies(race_tests shoal_vset)
  add_dependencies(concurrency_tests shoal_vset)
  shoal_server_test(RacesUnderASanitizer "check;concurrency" 600 --sanitizer ${sanitizer} test_bus
                    test_lifecycle.Lifecycle.test_keys_may_go_during_searches
                    test_lifecycle.Lifecycle.test_snapshots_of_forks_go_on_under_load
                    test_partitions.Gather.test_on_one_server_it_searches_the_local_keys)
  shoal_server_test(TheSameUnderASanitizer "stress" 3600 --sanitizer ${sanitizer} test_commands test_persistence
                    test_replication test_import test_partitions test_bus test_lifecycle.Lifecycle)
else()
  shoal_server_test(CommandsPersistenceReplicasCluster "check" 600 ${quick})
  # `make demo-server`: what was asked last is answered.
  add_test(NAME Server.TheDemoAnswers
           COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/bindings/valkey/demo.py --module $<TARGET_FILE:shoal_vset>
                   --build ${PROJECT_BINARY_DIR} --query "mail server")
  set_tests_properties(Server.TheDemoAnswers PROPERTIES TIMEOUT 300 LABELS check
                       PASS_REGULAR_EXPRESSION "mail server:\n  [a-z0-9]")
  shoal_server_test(TheSameOnValkey "stress" 1200 --server valkey8 ${quick})
  shoal_server_test(TheSameOnValkey9 "stress" 1200 --server valkey9 ${quick})
  shoal_server_test(LongRunsOfTheSame "stress" 5400 --long ${quick})
  shoal_server_test(RandomCommandsBesideRedis8 "stress" 1200 --long test_differential)
  shoal_server_test(TestsOfRedisPy "stress" 1200 test_redis_py)
  shoal_server_test(NodeRedisAndGoRedis "stress" 1200 test_other_clients)
endif()
