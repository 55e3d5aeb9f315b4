# The TX interface over a real PostgreSQL, where there is one, MariaDB and Berkeley DB.

find_library(BDB_LIBRARY db-5.3)
if(NOT TARGET holdfast-tx OR NOT TARGET holdfast_postgres OR NOT hf_initdb)
    return()
endif()
if(TARGET holdfast_mariadb)
    add_executable(servers_tx_databases "${CMAKE_CURRENT_LIST_DIR}/databases.c")
    target_link_libraries(servers_tx_databases PRIVATE holdfast-tx holdfast_postgres
        holdfast_mariadb holdfast PkgConfig::libpq PkgConfig::LIBMARIADB)
    add_test(NAME servers.tx_databases
        COMMAND "${PROJECT_SOURCE_DIR}/tests/support/with_mariadb.sh"
            "${PROJECT_SOURCE_DIR}/tests/servers/postgres/with_postgres.sh"
            "${PROJECT_SOURCE_DIR}" $<TARGET_FILE:servers_tx_databases>)
    set_tests_properties(servers.tx_databases PROPERTIES LABELS servers TIMEOUT 300)
endif()
if(NOT BDB_LIBRARY)
    return()
endif()
add_executable(servers_tx_three "${CMAKE_CURRENT_LIST_DIR}/three.c")
target_link_libraries(servers_tx_three
    PRIVATE holdfast-tx holdfast_postgres holdfast PkgConfig::libpq)
add_test(NAME servers.tx_three
    COMMAND "${PROJECT_SOURCE_DIR}/tests/servers/postgres/with_postgres.sh"
        "${PROJECT_SOURCE_DIR}" $<TARGET_FILE:servers_tx_three>)
set_tests_properties(servers.tx_three PROPERTIES LABELS servers TIMEOUT 180)
