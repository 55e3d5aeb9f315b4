# What recovery takes for a proof, and what it does where there is none.
hf_test(spec tm_detach tm_detach.c support/fake_rm.c)
