# The TX interface over a real PostgreSQL, where there is one, and Berkeley DB.

find_library(BDB_LIBRARY db-5.3)
if(NOT TARGET holdfast-tx OR NOT TARGET holdfast_postgres OR NOT hf_initdb OR NOT BDB_LIBRARY)
    return()
endif()
add_executable(servers_tx_three "${CMAKE_CURRENT_LIST_DIR}/three.c")
target_link_libraries(servers_tx_three
    PRIVATE holdfast-tx holdfast_postgres holdfast PkgConfig::libpq)
add_test(NAME servers.tx_three
    COMMAND "${PROJECT_SOURCE_DIR}/tests/servers/postgres/with_postgres.sh"
        "${PROJECT_SOURCE_DIR}" $<TARGET_FILE:servers_tx_three>)
set_tests_properties(servers.tx_three PROPERTIES LABELS servers TIMEOUT 180)
