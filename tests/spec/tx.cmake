# The TX interface and the configuration file, as their headers promise them. The programs have the
# switches in themselves, where the configuration finds them.
if(NOT TARGET holdfast-tx_static)
    return()
endif()
foreach(subject IN ITEMS states config codes threads input)
    hf_test(spec tx_${subject} tx_${subject}.c support/tx_world.c support/fake_rm.c
        LIBRARIES holdfast-tx_static)
    set_target_properties(spec_tx_${subject} PROPERTIES ENABLE_EXPORTS ON)
endforeach()

# Somebody else's switch. Berkeley DB is loaded, and not linked, because of its licence.
find_path(BDB_INCLUDE_DIR db.h)
find_library(BDB_LIBRARY db-5.3)
mark_as_advanced(BDB_INCLUDE_DIR BDB_LIBRARY)
if("${HOLDFAST_SANITIZE}" MATCHES "thread")
    # ThreadSanitizer takes Berkeley DB's own order of locks for ours.
elseif(BDB_INCLUDE_DIR AND BDB_LIBRARY)
    hf_test(spec tx_bdb tx_bdb.c support/fake_rm.c LIBRARIES holdfast-tx_static)
    set_target_properties(spec_tx_bdb PROPERTIES ENABLE_EXPORTS ON)
    target_include_directories(spec_tx_bdb SYSTEM PRIVATE "${BDB_INCLUDE_DIR}")
else()
    message(WARNING "no test of Berkeley DB's switch: on Debian, apt-get install libdb-dev")
endif()

# A vendor's library, and a program linked as a user's is.
add_library(dynamic_rm MODULE "${PROJECT_SOURCE_DIR}/tests/support/dynamic_rm.c")
target_include_directories(dynamic_rm PRIVATE "${PROJECT_SOURCE_DIR}/tm/include")
target_link_libraries(dynamic_rm PRIVATE hf_build)
add_executable(spec_tx_dynamic "${CMAKE_CURRENT_LIST_DIR}/tx_dynamic.c")
target_include_directories(spec_tx_dynamic PRIVATE "${PROJECT_SOURCE_DIR}/tests")
target_link_libraries(spec_tx_dynamic PRIVATE holdfast-tx cmocka ${CMAKE_DL_LIBS})
add_test(NAME spec.tx_dynamic COMMAND spec_tx_dynamic $<TARGET_FILE:dynamic_rm>)
set_tests_properties(spec.tx_dynamic PROPERTIES LABELS spec TIMEOUT ${hf_test_timeout})
