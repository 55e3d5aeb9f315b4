# The units of rm/mariadb that need no server; those that do are in tests/spec/mariadb.cmake.
if(TARGET holdfast_mariadb_static)
    hf_test(unit mariadb_options mariadb/test_options.c LIBRARIES holdfast_mariadb_static)
    target_include_directories(unit_mariadb_options PRIVATE "${PROJECT_SOURCE_DIR}/rm/mariadb")
endif()
