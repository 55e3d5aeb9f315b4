# The holder with a toy driver.

hf_test(unit holder.settle test_settle.c toy.c)
