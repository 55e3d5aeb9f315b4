# Pools of connections (hf_postgres_hooks, hf_mariadb_hooks) over private servers of both kinds.

if(NOT TARGET holdfast_postgres_static OR NOT TARGET holdfast_mariadb_static OR NOT hf_initdb)
    return()
endif()

function(hf_pool_test name)
    hf_test_program(servers_pool_${name} servers "${CMAKE_CURRENT_LIST_DIR}/${name}.c"
        "holdfast_postgres_static;holdfast_mariadb_static;PkgConfig::libpq;PkgConfig::LIBMARIADB")
    add_test(NAME servers.pool_${name}
        COMMAND "${PROJECT_SOURCE_DIR}/tests/servers/postgres/with_postgres.sh"
            "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/tests/support/with_mariadb.sh"
            $<TARGET_FILE:servers_pool_${name}>)
    math(EXPR timeout "240 * ${hf_test_slower}")
    set_tests_properties(servers.pool_${name} PROPERTIES LABELS servers TIMEOUT ${timeout})
endfunction()

hf_pool_test(left)
hf_pool_test(pair)
# The client libraries have to find the test's send() before libc's.
set_target_properties(servers_pool_pair PROPERTIES ENABLE_EXPORTS ON)

# The examples in the READMEs, compiled as a user would.
foreach(room IN ITEMS postgres mariadb)
    hf_test_program(cli_${room}_example cli "${PROJECT_SOURCE_DIR}/tests/cli/${room}_example.c"
        "holdfast_${room}_static")
endforeach()
target_link_libraries(cli_postgres_example PRIVATE PkgConfig::libpq)
target_link_libraries(cli_mariadb_example PRIVATE PkgConfig::LIBMARIADB)
add_test(NAME servers.postgres_example
    COMMAND "${PROJECT_SOURCE_DIR}/tests/servers/postgres/with_postgres.sh"
        "${PROJECT_SOURCE_DIR}" "${CMAKE_CURRENT_LIST_DIR}/example.sh" postgres
        "${PROJECT_SOURCE_DIR}" $<TARGET_FILE:cli_postgres_example>)
add_test(NAME servers.mariadb_example
    COMMAND "${PROJECT_SOURCE_DIR}/tests/support/with_mariadb.sh"
        "${CMAKE_CURRENT_LIST_DIR}/example.sh" mariadb
        "${PROJECT_SOURCE_DIR}" $<TARGET_FILE:cli_mariadb_example>)
set_tests_properties(servers.postgres_example servers.mariadb_example PROPERTIES
    LABELS servers TIMEOUT ${hf_test_timeout})
