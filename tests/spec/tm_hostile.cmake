# What nobody should do to a transaction manager.
hf_test(spec tm_hostile tm_hostile.c support/fake_rm.c)
hf_test(spec tm_where tm_where.c support/fake_rm.c)
