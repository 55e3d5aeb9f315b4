# hf-bench from outside: that it measures at all, and that what it says can be true.

add_test(NAME cli.bench
    COMMAND "${CMAKE_CURRENT_LIST_DIR}/bench.sh" $<TARGET_FILE:hf-bench>)
set_tests_properties(cli.bench PROPERTIES LABELS cli TIMEOUT ${hf_test_timeout})
