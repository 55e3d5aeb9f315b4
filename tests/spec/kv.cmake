# The cells of the state tables, against hf_kv_switch; and kv where transactions meet.
hf_test(spec kv_switch kv_switch.c)
hf_test(spec kv_tx kv_tx.c)
