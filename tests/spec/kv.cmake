# The cells of the state tables, against hf_kv_switch.
hf_test(spec kv_switch kv_switch.c)
