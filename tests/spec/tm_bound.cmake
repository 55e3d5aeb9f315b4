# What is bound to a thread: work outside of transactions, and one rmid for all threads.
hf_test(spec tm_bound tm_bound.c support/bound_rm.c support/fake_rm.c)
hf_test(spec holder_bound holder_bound.c support/bound_rm.c support/fake_driver.c support/fake_rm.c)
hf_test(spec holder_answers holder_answers.c support/fake_driver.c support/fake_rm.c)
