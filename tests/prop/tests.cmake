# The exhaustive walk of the coordinator, and the planted bugs that it has to catch.

# It has one thread and takes minutes under ThreadSanitizer, which has nothing to find there.
if(NOT "${HOLDFAST_SANITIZE}" MATCHES "thread")
    hf_test(prop walk walk.c walk_life.c walk_rm.c walk_class.c walk_check.c TIMEOUT 300)
    set_tests_properties(prop.walk PROPERTIES COST 60)
endif()

if(HOLDFAST_FAULTS AND NOT HOLDFAST_SANITIZE)
    foreach(bug IN ITEMS commit-before-decision release-early forget-before-record
            rollback-after-unknown nota-is-done rmfail-is-done read-only-gets-commit
            force-before-last-vote rank-ignored drop-late-answer detached-is-done
            detach-unscanned)
        add_test(NAME prop.walk.catches.${bug} COMMAND prop_walk --plant ${bug})
        set_tests_properties(prop.walk.catches.${bug} PROPERTIES LABELS prop TIMEOUT 300)
    endforeach()

    # A bug that nobody wrote is not caught: the ones above are not caught for nothing.
    add_test(NAME prop.walk.no_such_bug COMMAND prop_walk --plant no-such-bug)
    set_tests_properties(prop.walk.no_such_bug PROPERTIES LABELS prop TIMEOUT 300 WILL_FAIL TRUE)
endif()

# Sanitizers bring a malloc() of their own.
if(NOT HOLDFAST_SANITIZE)
    hf_test(prop hot_path hot_path.c support/quiet.c)
    set_target_properties(prop_hot_path PROPERTIES ENABLE_EXPORTS ON)
endif()

# What a transaction costs without its log: counted where it is built as it is shipped, and run for
# what it does everywhere.
hf_test(prop instructions instructions.c memory_log.c ARGUMENTS 10000)
if(NOT HOLDFAST_FAULTS AND NOT HOLDFAST_SANITIZE AND "${CMAKE_BUILD_TYPE}" MATCHES "^Rel")
    add_test(NAME prop.instructions.count
        COMMAND "${CMAKE_CURRENT_LIST_DIR}/instructions.sh" $<TARGET_FILE:prop_instructions> 6000)
    set_tests_properties(prop.instructions.count PROPERTIES
        LABELS prop TIMEOUT 300 SKIP_RETURN_CODE 77)
endif()

# The holder under everything at once, and the planted bugs that this has to catch.
hf_test(prop holder_storm holder_storm.c)
if(HOLDFAST_FAULTS AND NOT HOLDFAST_SANITIZE)
    set(hf_must_fail "${PROJECT_SOURCE_DIR}/tests/crash/must_fail.sh")
    add_test(NAME prop.holder_storm.catches.holder-two-owners
        # Two owners may also tie lists into a loop before they are seen: then another try.
        COMMAND "${hf_must_fail}" "two at once" bash -c
            "for s in 1 2 3 4 5; do timeout 15 \"$1\" --seed $s --plant holder-two-owners; \
rc=$?; [ $rc = 124 ] || exit $rc; done" again $<TARGET_FILE:prop_holder_storm>)
    add_test(NAME prop.holder_storm.catches.holder-late-tx-end
        # The end has to come late while somebody looks: by another seed if not by the first.
        COMMAND "${hf_must_fail}" "are left: close a manager" bash -c
            "for s in 1 2 3 4 5; do \"$1\" --seed $s --plant holder-late-tx-end || exit $?; done"
            again $<TARGET_FILE:prop_holder_storm>)
    set_tests_properties(prop.holder_storm.catches.holder-two-owners
        prop.holder_storm.catches.holder-late-tx-end PROPERTIES LABELS prop TIMEOUT 120)
endif()

# The holder against a model, call by call: seeded, serial.
hf_test(prop holder_model holder_model.c)

# The short way: no allocation, no system call, and in a release under 1,000 instructions.
if(NOT HOLDFAST_SANITIZE)
    hf_test(prop holder_path holder_path.c support/quiet.c)
    set_target_properties(prop_holder_path PROPERTIES ENABLE_EXPORTS ON)
    find_program(HOLDFAST_VALGRIND valgrind)
    if(HOLDFAST_VALGRIND AND NOT HOLDFAST_FAULTS)
        add_test(NAME prop.holder_instructions
            COMMAND "${CMAKE_CURRENT_LIST_DIR}/holder_instructions.sh"
                $<TARGET_FILE:prop_holder_path> 1000 2000)
        set_tests_properties(prop.holder_instructions PROPERTIES LABELS prop TIMEOUT 300)
    endif()
endif()

# The lock manager of kv against a model, and the planted bugs that it has to catch.
hf_test(prop kv_locks kv_locks.c)
if(HOLDFAST_FAULTS)
    foreach(bug IN ITEMS kv-prefix-unlocked kv-deadlock-unseen kv-waiter-forgotten)
        add_test(NAME prop.kv_locks.catches.${bug}
            COMMAND "${PROJECT_SOURCE_DIR}/tests/crash/must_fail.sh" "differs from the model"
                $<TARGET_FILE:prop_kv_locks> --plant ${bug})
        set_tests_properties(prop.kv_locks.catches.${bug} PROPERTIES LABELS prop TIMEOUT 120)
    endforeach()
endif()
