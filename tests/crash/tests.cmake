# crash: real processes, really killed.

hf_test(crash fence crash_fence.c LABELS crash-light)
hf_test(crash pair crash_pair.c LABELS crash-light)
hf_test(crash many crash_many.c ARGUMENTS --seconds 20)
hf_test(crash errors crash_errors.c LABELS crash-light)
# LMDB has to find the test's pwrite() before libc's.
set_target_properties(crash_fence crash_errors PROPERTIES ENABLE_EXPORTS ON)

# kill: the bank under its supervisor, verified after every kill.
add_test(NAME kill.bank COMMAND "${CMAKE_CURRENT_LIST_DIR}/kill_bank.sh" $<TARGET_FILE:bank_chaos>)
set_tests_properties(kill.bank PROPERTIES LABELS kill TIMEOUT 300)

# Each planted bug has to be noticed by the rig that is there for it; the coordinator's are walked
# (prop).
if(HOLDFAST_FAULTS)
    add_test(NAME crash.catches.recover-without-fence
        COMMAND "${CMAKE_CURRENT_LIST_DIR}/must_fail.sh" "was not carried out"
            $<TARGET_FILE:crash_fence> --plant recover-without-fence)
    add_test(NAME crash.catches.rollback-after-unknown
        COMMAND "${CMAKE_CURRENT_LIST_DIR}/must_fail.sh" "alarms 1"
            $<TARGET_FILE:crash_errors> --plant rollback-after-unknown)
    foreach(bug IN ITEMS ack-before-durable reuse-gtrid)
        add_test(NAME crash.catches.${bug}
            COMMAND "${CMAKE_CURRENT_LIST_DIR}/plant_bank.sh" ${bug} $<TARGET_FILE_DIR:bank_chaos>)
    endforeach()
    set_tests_properties(crash.catches.recover-without-fence crash.catches.rollback-after-unknown
        crash.catches.ack-before-durable crash.catches.reuse-gtrid
        PROPERTIES LABELS crash TIMEOUT 120)
endif()
