# Recovery beside a resource manager that hangs.
hf_test(spec tm_hang tm_hang.c support/fake_rm.c)
