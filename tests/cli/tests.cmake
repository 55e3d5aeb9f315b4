# What is delivered, seen from outside: by nm, by an installation, by the programs' exit codes.

function(hf_cli_test name labels)
    add_test(NAME cli.${name} COMMAND ${ARGN})
    set_tests_properties(cli.${name} PROPERTIES LABELS "cli;${labels}" TIMEOUT ${hf_test_timeout})
endfunction()

# The program of the canary is not a test: it has to fail.
hf_test_program(unit_canary unit "${PROJECT_SOURCE_DIR}/tests/unit/canary.c" "")
hf_cli_test(canary cli-short
    "${CMAKE_CURRENT_LIST_DIR}/canary.sh" $<TARGET_FILE:unit_canary>)

foreach(room IN ITEMS tm tx holder kv postgres mariadb)
    if(NOT TARGET hf_${room}_objects)
        continue()
    endif()
    get_target_property(dir hf_${room}_objects SOURCE_DIR)
    cmake_path(RELATIVE_PATH dir BASE_DIRECTORY "${PROJECT_SOURCE_DIR}")
    hf_cli_test(walls_of_${room} cli-short "${CMAKE_CURRENT_LIST_DIR}/walls.sh"
        "${CMAKE_C_COMPILER}" "${PROJECT_SOURCE_DIR}" "${dir}"
        "$<TARGET_PROPERTY:hf_${room}_objects,INCLUDE_DIRECTORIES>")
endforeach()

# The programs that are installed with the library must be as clean as it is.
set(hf_clean "${CMAKE_CURRENT_LIST_DIR}/release_is_clean.sh")
set(hf_clean_files "${PROJECT_SOURCE_DIR}" $<TARGET_FILE:holdfast> $<TARGET_FILE:holdfast_static>)
foreach(library IN ITEMS holdfast_postgres holdfast_mariadb)
    if(TARGET ${library})
        list(APPEND hf_clean_files $<TARGET_FILE:${library}> $<TARGET_FILE:${library}_static>)
    endif()
endforeach()
if(HOLDFAST_FAULTS)
    hf_cli_test(release_is_clean__notices_a_fault_build cli-short
        "${hf_clean}" --expect-dirty ${hf_clean_files})
else()
    foreach(program IN ITEMS txctl bank bank_verify bank_chaos bank_sql bank_sql_verify)
        if(TARGET ${program})
            list(APPEND hf_clean_files $<TARGET_FILE:${program}>)
        endif()
    endforeach()
    hf_cli_test(release_is_clean cli-short "${hf_clean}" ${hf_clean_files})
endif()

if(TARGET holdfast_postgres)
    hf_cli_test(postgres_library cli-short "${CMAKE_CURRENT_LIST_DIR}/postgres_library.sh"
        "${PROJECT_SOURCE_DIR}" $<TARGET_FILE:holdfast> $<TARGET_FILE:holdfast_postgres>)
endif()
if(TARGET holdfast-tx)
    hf_cli_test(tx_exports cli-short "${CMAKE_CURRENT_LIST_DIR}/tx_exports.sh"
        "${PROJECT_SOURCE_DIR}" $<TARGET_FILE:holdfast-tx>)
endif()

if(TARGET bank)
    hf_cli_test(bank_input cli-short "${CMAKE_CURRENT_LIST_DIR}/bank_input.sh" $<TARGET_FILE:bank>)
endif()

# The example in holder/README.md, compiled as a user would.
hf_test_program(cli_holder_example cli "${CMAKE_CURRENT_LIST_DIR}/holder_example.c" "")
hf_cli_test(holder_example cli-short "${CMAKE_CURRENT_LIST_DIR}/quoted.sh"
    "${PROJECT_SOURCE_DIR}/holder/README.md" "${CMAKE_CURRENT_LIST_DIR}/holder_example.c"
    $<TARGET_FILE:cli_holder_example> "hello in both")

# A stranger's program is not compiled with our sanitizers, and cannot load a library that is.
if(NOT HOLDFAST_SANITIZE)
    foreach(how IN ITEMS package pkg-config)
        hf_cli_test(consumer_by_${how} consumer "${CMAKE_CURRENT_LIST_DIR}/consumer.sh" ${how}
            "${PROJECT_BINARY_DIR}" "${PROJECT_SOURCE_DIR}" "${CMAKE_C_COMPILER}")
    endforeach()
endif()

if(TARGET holdfast-tx AND NOT HOLDFAST_SANITIZE)
    hf_cli_test(tx_example consumer "${CMAKE_CURRENT_LIST_DIR}/tx_example.sh"
        "${PROJECT_BINARY_DIR}" "${PROJECT_SOURCE_DIR}" "${CMAKE_C_COMPILER}")
endif()

# Instructions of a sanitizer's build are not what is asked for.
if(TARGET holdfast-tx AND NOT HOLDFAST_SANITIZE)
    add_executable(tx_overhead "${CMAKE_CURRENT_LIST_DIR}/tx_overhead.c")
    target_link_libraries(tx_overhead PRIVATE holdfast-tx)
    set_target_properties(tx_overhead PROPERTIES ENABLE_EXPORTS ON)
    hf_cli_test(tx_overhead consumer "${CMAKE_CURRENT_LIST_DIR}/tx_overhead.sh"
        $<TARGET_FILE:tx_overhead>)
    set_tests_properties(cli.tx_overhead PROPERTIES SKIP_RETURN_CODE 77)
endif()

add_test(NAME lint.tree COMMAND "${PROJECT_SOURCE_DIR}/tools/lint/check")
add_test(NAME lint.notices_planted_violations
    COMMAND "${PROJECT_SOURCE_DIR}/tools/lint/check" --self-test)
add_test(NAME lint.rigs COMMAND "${CMAKE_CURRENT_LIST_DIR}/rigs.sh" "${PROJECT_SOURCE_DIR}")
set_tests_properties(lint.tree lint.notices_planted_violations lint.rigs PROPERTIES
    LABELS lint TIMEOUT 60)
