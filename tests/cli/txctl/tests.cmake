# txctl from outside: each script gets the program, a maker of nodes and the sources.

add_executable(make_node "${PROJECT_SOURCE_DIR}/tests/unit/tm/make_node.c")
target_include_directories(make_node PRIVATE "${PROJECT_SOURCE_DIR}/tm")
target_link_libraries(make_node PRIVATE holdfast_static Threads::Threads)

foreach(script IN ITEMS usage dead live damage man adopt forget)
    add_test(NAME cli.txctl_${script}
        COMMAND "${CMAKE_CURRENT_LIST_DIR}/${script}.sh"
            $<TARGET_FILE:txctl> $<TARGET_FILE:make_node> "${PROJECT_SOURCE_DIR}")
    set_tests_properties(cli.txctl_${script} PROPERTIES LABELS cli TIMEOUT ${hf_test_timeout})
endforeach()

if(TARGET holdfast-tx)
    add_library(bad_switches MODULE "${PROJECT_SOURCE_DIR}/tests/support/bad_switches.c")
    target_include_directories(bad_switches PRIVATE "${PROJECT_SOURCE_DIR}/tm/include")
    target_link_libraries(bad_switches PRIVATE hf_build)
    add_test(NAME cli.txctl_config
        COMMAND "${CMAKE_CURRENT_LIST_DIR}/config.sh"
            $<TARGET_FILE:txctl> $<TARGET_FILE:make_node> "${PROJECT_SOURCE_DIR}"
            $<TARGET_FILE:bad_switches>)
    set_tests_properties(cli.txctl_config PROPERTIES LABELS cli TIMEOUT ${hf_test_timeout})
endif()

add_executable(txctl_server "${CMAKE_CURRENT_LIST_DIR}/server.c")
target_link_libraries(txctl_server PRIVATE holdfast)
add_test(NAME cli.txctl_server
    COMMAND "${CMAKE_CURRENT_LIST_DIR}/server.sh"
        $<TARGET_FILE:txctl> $<TARGET_FILE:txctl_server> "${PROJECT_SOURCE_DIR}")
set_tests_properties(cli.txctl_server PROPERTIES LABELS cli TIMEOUT ${hf_test_timeout})

# Failpoints set from outside; the tool as it is delivered is looked at, too.
if(TARGET txctl_faulty)
    add_test(NAME cli.txctl_faults
        COMMAND "${CMAKE_CURRENT_LIST_DIR}/faults.sh"
            $<TARGET_FILE:txctl_faulty> $<TARGET_FILE:make_node> "${PROJECT_SOURCE_DIR}"
            $<TARGET_FILE:txctl>)
    set_tests_properties(cli.txctl_faults PROPERTIES LABELS cli TIMEOUT ${hf_test_timeout})
endif()
