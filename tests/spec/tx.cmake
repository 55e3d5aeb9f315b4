# The TX interface and the configuration file, as their headers promise them. The programs have the
# switches in themselves, where the configuration finds them.
if(NOT TARGET holdfast-tx_static)
    return()
endif()
foreach(subject IN ITEMS states config codes threads)
    hf_test(spec tx_${subject} tx_${subject}.c support/tx_world.c support/fake_rm.c
        LIBRARIES holdfast-tx_static)
    set_target_properties(spec_tx_${subject} PROPERTIES ENABLE_EXPORTS ON)
endforeach()
