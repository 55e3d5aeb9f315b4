# The bank over a PostgreSQL and a MariaDB, and its supervisor.

find_program(hf_initdb initdb
    PATHS /usr/lib/postgresql/17/bin /usr/lib/postgresql/16/bin /usr/lib/postgresql/15/bin)
find_program(hf_mariadbd mariadbd PATHS /usr/sbin /usr/local/sbin)
if(NOT TARGET bank_sql OR NOT hf_initdb OR NOT hf_mariadbd)
    return()
endif()

function(hf_bank_sql_test name script)
    add_test(NAME servers.bank_${name} COMMAND "${PROJECT_SOURCE_DIR}/tests/servers/bank/${script}"
        $<TARGET_FILE:bank_chaos> "${PROJECT_SOURCE_DIR}" ${ARGN})
    math(EXPR timeout "300 * ${hf_test_slower}")
    set_tests_properties(servers.bank_${name} PROPERTIES LABELS servers TIMEOUT ${timeout})
endfunction()

hf_bank_sql_test(kill kill.sh)
hf_bank_sql_test(rig rig.sh)
if(HOLDFAST_FAULTS AND NOT HOLDFAST_SANITIZE)
    hf_bank_sql_test(kill.catches.rmfail-is-done kill.sh --plant rmfail-is-done)
endif()
