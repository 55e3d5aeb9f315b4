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

# Somebody else's switch. Berkeley DB is loaded, and not linked, because of its licence.
find_path(BDB_INCLUDE_DIR db.h)
find_library(BDB_LIBRARY db-5.3)
mark_as_advanced(BDB_INCLUDE_DIR BDB_LIBRARY)
if(BDB_INCLUDE_DIR AND BDB_LIBRARY)
    hf_test(spec tx_bdb tx_bdb.c support/fake_rm.c LIBRARIES holdfast-tx_static)
    set_target_properties(spec_tx_bdb PROPERTIES ENABLE_EXPORTS ON)
    target_include_directories(spec_tx_bdb SYSTEM PRIVATE "${BDB_INCLUDE_DIR}")
else()
    message(WARNING "no test of Berkeley DB's switch: on Debian, apt-get install libdb-dev")
endif()
