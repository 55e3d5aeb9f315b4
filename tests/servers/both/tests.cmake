# Against a PostgreSQL and a MariaDB of each test's own, where both are installed.

if(NOT TARGET holdfast_postgres_static OR NOT TARGET holdfast_mariadb_static)
    return()
endif()
find_program(hf_initdb initdb
    PATHS /usr/lib/postgresql/17/bin /usr/lib/postgresql/16/bin /usr/lib/postgresql/15/bin)
if(NOT hf_initdb)
    return()
endif()

function(hf_both_test name)
    set(sources "")
    foreach(source IN ITEMS "both/${name}.c" ${ARGN})
        hf_test_source(path servers "${source}")
        list(APPEND sources "${path}")
    endforeach()
    hf_test_program(servers_both_${name} servers "${sources}"
        "holdfast_postgres_static;holdfast_mariadb_static;PkgConfig::libpq;PkgConfig::LIBMARIADB")
    add_test(NAME servers.both_${name}
        COMMAND "${PROJECT_SOURCE_DIR}/tests/servers/postgres/with_postgres.sh"
            "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/tests/support/with_mariadb.sh"
            $<TARGET_FILE:servers_both_${name}>)
    math(EXPR timeout "300 * ${hf_test_slower}")
    set_tests_properties(servers.both_${name} PROPERTIES LABELS servers TIMEOUT ${timeout})
endfunction()

hf_both_test(facts)
hf_both_test(frozen)
hf_both_test(kills)
hf_both_test(messages)
if(TARGET txctl)
    target_compile_definitions(servers_both_frozen PRIVATE TXCTL="$<TARGET_FILE:txctl>")
    add_dependencies(servers_both_frozen txctl)
endif()

# And that they notice.
if(HOLDFAST_FAULTS AND NOT HOLDFAST_SANITIZE)
    foreach(planted IN ITEMS frozen:nota-is-done kills:rmfail-is-done)
        string(REPLACE ":" ";" planted "${planted}")
        list(GET planted 0 name)
        list(GET planted 1 bug)
        add_test(NAME servers.both_${name}.catches.${bug}
            COMMAND "${PROJECT_SOURCE_DIR}/tests/crash/must_fail.sh" "1 FAILED TEST(S)"
                "${PROJECT_SOURCE_DIR}/tests/servers/postgres/with_postgres.sh"
                "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/tests/support/with_mariadb.sh"
                $<TARGET_FILE:servers_both_${name}> --plant ${bug})
        set_tests_properties(servers.both_${name}.catches.${bug} PROPERTIES
            LABELS servers TIMEOUT 300)
    endforeach()
endif()
