# MariaDB, on a real server that is started for each program. Labelled `servers` and nothing else:
# tools/check quick does without.
#
#   hf_mariadb_test(KIND NAME SOURCES... [TIMEOUT seconds])
#
# makes the program bin/KIND_NAME and the test servers.KIND_NAME. Kinds unit and crash see the
# private headers of rm/mariadb, too.
function(hf_mariadb_test kind name)
    cmake_parse_arguments(PARSE_ARGV 2 test "" "TIMEOUT" "")
    if(NOT test_TIMEOUT)
        set(test_TIMEOUT ${hf_test_timeout})
    endif()
    math(EXPR test_TIMEOUT "${test_TIMEOUT} * ${hf_test_slower}")
    set(sources "")
    foreach(source IN LISTS test_UNPARSED_ARGUMENTS)
        hf_test_source(path ${kind} "${source}")
        list(APPEND sources "${path}")
    endforeach()
    hf_test_program(${kind}_${name} ${kind} "${sources}"
        "holdfast_mariadb_static;PkgConfig::LIBMARIADB")
    if(kind IN_LIST hf_kinds_inside)
        target_include_directories(${kind}_${name} PRIVATE "${PROJECT_SOURCE_DIR}/rm/mariadb")
    endif()
    add_test(NAME servers.${kind}_${name}
        COMMAND "${PROJECT_SOURCE_DIR}/tests/support/with_mariadb.sh"
            $<TARGET_FILE:${kind}_${name}>)
    set_tests_properties(servers.${kind}_${name} PROPERTIES LABELS servers TIMEOUT ${test_TIMEOUT})
endfunction()

if(TARGET holdfast_mariadb_static)
    hf_mariadb_test(unit mariadb_answers unit/mariadb/test_answers.c)
    hf_mariadb_test(spec mariadb_quirks mariadb_quirks.c)
    hf_mariadb_test(spec mariadb_ends mariadb_ends.c)
    hf_mariadb_test(spec mariadb_input mariadb_input.c)
    hf_mariadb_test(spec mariadb_waits mariadb_waits.c)
    hf_mariadb_test(unit mariadb_switch unit/mariadb/test_switch.c)
    hf_mariadb_test(crash mariadb crash_mariadb.c TIMEOUT 300)

    if(HOLDFAST_FAULTS AND NOT HOLDFAST_SANITIZE)
        add_test(NAME servers.spec_mariadb_quirks.catches.mariadb-savepoint-unread
            COMMAND "${PROJECT_SOURCE_DIR}/tests/crash/must_fail.sh"
                "FAILED  ] by_hand__a_branch_begun_again"
                "${PROJECT_SOURCE_DIR}/tests/support/with_mariadb.sh"
                $<TARGET_FILE:spec_mariadb_quirks> --plant mariadb-savepoint-unread)
        set_tests_properties(servers.spec_mariadb_quirks.catches.mariadb-savepoint-unread
            PROPERTIES LABELS servers TIMEOUT 300)
    endif()

    # Whatever time a session takes to end. A sanitizer would have to be preloaded before this.
    if(NOT HOLDFAST_SANITIZE)
        add_library(slow_ends MODULE "${PROJECT_SOURCE_DIR}/tests/support/slow_ends.c")
        target_link_libraries(slow_ends PRIVATE hf_build ${CMAKE_DL_LIBS})
        add_test(NAME servers.spec_mariadb_quirks.slow_ends
            COMMAND "${PROJECT_SOURCE_DIR}/tests/support/slow_ends.sh" $<TARGET_FILE:slow_ends>
                $<TARGET_FILE:spec_mariadb_quirks>)
        set_tests_properties(servers.spec_mariadb_quirks.slow_ends PROPERTIES
            LABELS servers TIMEOUT 600 COST 35 SKIP_RETURN_CODE 77)
    endif()

    # Delivered: a stranger's program cannot load a library with our sanitizers.
    if(NOT HOLDFAST_SANITIZE)
        add_test(NAME cli.mariadb COMMAND "${PROJECT_SOURCE_DIR}/tests/cli/mariadb.sh"
            "${PROJECT_BINARY_DIR}" "${PROJECT_SOURCE_DIR}" "${CMAKE_C_COMPILER}"
            $<TARGET_FILE:holdfast_mariadb>)
        set_tests_properties(cli.mariadb PROPERTIES LABELS cli TIMEOUT ${hf_test_timeout})
    endif()
endif()
