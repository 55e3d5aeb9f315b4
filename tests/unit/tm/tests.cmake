# The units of tm: one program for each subject.
hf_test(unit tm_fault tm/test_fault.c)
hf_test(unit tm_xid tm/test_xid.c)
hf_test(unit tm_record tm/test_record.c)
hf_test(unit tm_inspect tm/test_inspect.c)
hf_test(unit tm_coordinator tm/test_coordinator.c)
hf_test(unit tm_store tm/test_store.c support/fake_rm.c)
hf_test(unit tm_log tm/test_log.c support/fake_rm.c)
if(HOLDFAST_FAULTS AND NOT HOLDFAST_SANITIZE) # what fails need not tidy up
    add_test(NAME unit.tm_log.catches.fenced-appends
        COMMAND "${PROJECT_SOURCE_DIR}/tests/crash/must_fail.sh" "fenced__appends_nothing"
            $<TARGET_FILE:unit_tm_log> --plant fenced-appends)
    set_tests_properties(unit.tm_log.catches.fenced-appends PROPERTIES LABELS unit TIMEOUT 120)
endif()
hf_test(unit tm_adopt tm/test_adopt.c)
hf_test(unit tm_history tm/test_history.c)
hf_test(unit tm_page tm/test_page.c)
