# The units of rm/kv: one program for each subject.
hf_test(unit kv_openstring kv/test_openstring.c)
hf_test(unit kv_writes kv/test_writes.c)
hf_test(unit kv_disk kv/test_disk.c)
hf_test(unit kv_data kv/test_data.c)
hf_test(unit kv_lock kv/test_lock.c)
hf_test(unit kv_isolation kv/test_isolation.c)
hf_test(unit kv_recovery kv/test_recovery.c)
