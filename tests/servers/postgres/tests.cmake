# Against a real PostgreSQL, private to each test: see with_postgres.sh.

if(NOT TARGET holdfast_postgres_static)
    return()
endif()
find_program(hf_initdb initdb
    PATHS /usr/lib/postgresql/17/bin /usr/lib/postgresql/16/bin /usr/lib/postgresql/15/bin)
if(NOT hf_initdb)
    message(STATUS "Holdfast: no PostgreSQL server here, so no tests with one")
    return()
endif()

function(hf_postgres_test name)
    set(sources "")
    foreach(source IN ITEMS "postgres/${name}.c" ${ARGN})
        hf_test_source(path servers "${source}")
        list(APPEND sources "${path}")
    endforeach()
    hf_test_program(servers_postgres_${name} servers "${sources}"
        "holdfast_postgres_static;PkgConfig::libpq")
    add_test(NAME servers.postgres_${name}
        COMMAND "${PROJECT_SOURCE_DIR}/tests/servers/postgres/with_postgres.sh"
            "${PROJECT_SOURCE_DIR}" $<TARGET_FILE:servers_postgres_${name}>)
    math(EXPR timeout "600 * ${hf_test_slower}")
    set_tests_properties(servers.postgres_${name} PROPERTIES LABELS servers TIMEOUT ${timeout})
endfunction()

hf_postgres_test(input)
hf_postgres_test(outage support/fake_rm.c)
hf_postgres_test(proof)
hf_postgres_test(sqlstate)
target_include_directories(servers_postgres_sqlstate PRIVATE "${PROJECT_SOURCE_DIR}/rm/postgres")
hf_postgres_test(switch)
hf_postgres_test(vote)
hf_postgres_test(waits)
hf_postgres_test(whole)

if(HOLDFAST_FAULTS AND NOT HOLDFAST_SANITIZE)
    add_test(NAME servers.postgres_input.catches.postgres-marker-unread
        COMMAND "${PROJECT_SOURCE_DIR}/tests/crash/must_fail.sh"
            "FAILED  ] a_transaction_ended_by_hand"
            "${PROJECT_SOURCE_DIR}/tests/servers/postgres/with_postgres.sh" "${PROJECT_SOURCE_DIR}"
            $<TARGET_FILE:servers_postgres_input> --plant postgres-marker-unread)
    set_tests_properties(servers.postgres_input.catches.postgres-marker-unread PROPERTIES
        LABELS servers TIMEOUT 300)
endif()

if(TARGET hf-bench)
    add_test(NAME servers.postgres_bench
        COMMAND "${CMAKE_CURRENT_LIST_DIR}/bench.sh" $<TARGET_FILE:hf-bench> postgres)
    set_tests_properties(servers.postgres_bench PROPERTIES LABELS servers TIMEOUT 180)
    find_program(hf_mariadbd mariadbd PATHS /usr/local/sbin /usr/sbin /sbin)
    if(TARGET holdfast_mariadb AND hf_mariadbd)
        add_test(NAME servers.mixed_bench
            COMMAND "${CMAKE_CURRENT_LIST_DIR}/bench.sh" $<TARGET_FILE:hf-bench> mixed)
        set_tests_properties(servers.mixed_bench PROPERTIES LABELS servers TIMEOUT 180)
    endif()
endif()

add_test(NAME servers.postgres_rig
    COMMAND "${CMAKE_CURRENT_LIST_DIR}/rig.sh" "${PROJECT_SOURCE_DIR}")
set_tests_properties(servers.postgres_rig PROPERTIES LABELS servers TIMEOUT 120)
