# The units of tm: one program for each subject.
hf_test(unit tm_xid tm/test_xid.c)
hf_test(unit tm_record tm/test_record.c)
hf_test(unit tm_inspect tm/test_inspect.c)
hf_test(unit tm_coordinator tm/test_coordinator.c)
hf_test(unit tm_store tm/test_store.c support/fake_rm.c)
hf_test(unit tm_log tm/test_log.c support/fake_rm.c)
hf_test(unit tm_adopt tm/test_adopt.c)
hf_test(unit tm_history tm/test_history.c)
