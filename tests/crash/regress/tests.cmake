# Defects that were found once. Each program fails without its mend; growth, a race against another
# process, does so only about every second time.
foreach(subject IN ITEMS restore recoverers pass openings readers calls)
    hf_test(crash regress_${subject} regress_${subject}.c support/fake_rm.c LABELS crash-light)
endforeach()
hf_test(crash regress_growth regress_growth.c)
hf_test(crash regress_race regress_race.c)

# A full disk: a fault point that says so, and a real small one, which needs root and a loop device.
if(HOLDFAST_FAULTS)
    hf_test(crash regress_full_disk regress_full_disk.c LABELS crash-light ARGUMENTS fault)
    add_test(NAME crash.regress_full_disk.mounted COMMAND crash_regress_full_disk mounted)
    set_tests_properties(crash.regress_full_disk.mounted PROPERTIES
        LABELS crash TIMEOUT 120 SKIP_RETURN_CODE 77)
else()
    hf_test(crash regress_full_disk regress_full_disk.c ARGUMENTS mounted)
    set_tests_properties(crash.regress_full_disk PROPERTIES SKIP_RETURN_CODE 77)
endif()
