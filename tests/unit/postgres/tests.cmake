# The texts of rm/postgres: no server needed, libpq is.
if(TARGET holdfast_postgres_static)
    hf_test_source(hf_source unit postgres/test_texts.c)
    hf_test_program(unit_postgres_texts cli "${hf_source}" holdfast_postgres_static)
    target_include_directories(unit_postgres_texts PRIVATE "${PROJECT_SOURCE_DIR}/rm/postgres")
    add_test(NAME unit.postgres_texts COMMAND unit_postgres_texts)
    set_tests_properties(unit.postgres_texts PROPERTIES LABELS unit TIMEOUT ${hf_test_timeout})
endif()
