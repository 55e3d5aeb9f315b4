# What recovery takes for a proof, and what it does where there is none.
hf_test(spec tm_detach tm_detach.c support/fake_rm.c)
hf_test(spec tm_forget tm_forget.c support/fake_rm.c)
hf_test(spec tm_verified tm_verified.c support/fake_rm.c TIMEOUT 300)
set_tests_properties(spec.tm_verified PROPERTIES COST 60)

if(HOLDFAST_FAULTS AND NOT HOLDFAST_SANITIZE)
    foreach(bug IN ITEMS nota-is-done rmfail-is-done release-early detached-is-done
            foreign-is-ours)
        add_test(NAME spec.tm_verified.catches.${bug} COMMAND spec_tm_verified --plant ${bug})
        set_tests_properties(spec.tm_verified.catches.${bug} PROPERTIES
            LABELS spec TIMEOUT 120)
    endforeach()
    add_test(NAME spec.tm_history.catches.absent-unscanned
        COMMAND "${PROJECT_SOURCE_DIR}/tests/crash/must_fail.sh" "unconfirmed__stays_until_then"
            $<TARGET_FILE:spec_tm_history> --plant absent-unscanned)
    set_tests_properties(spec.tm_history.catches.absent-unscanned PROPERTIES
        LABELS spec TIMEOUT 120)
endif()
