/*
 * rm/kv/failure.h - why the calling thread's last call to the switch failed, for hf_rm_ext.error.
 *
 * An rmid that could not be opened has no place to keep this, so it belongs to the thread: the
 * transaction manager asks in the thread in which the call failed.
 */
#ifndef HF_KV_FAILURE_H
#define HF_KV_FAILURE_H

#include <stddef.h>

/* A call of the switch begins: what was known is forgotten. */
void hf__kv_failure_begin(int rmid);
/*
 * What stood behind the answer: one of Holdfast's codes, with hf_error_last()'s text if it is of
 * it.
 */
void hf__kv_failure_note(int code);
/*
 * The call answers xa_code; if nothing was noted, note what the code itself says. Returns xa_code.
 */
int hf__kv_failure_end(int xa_code);
/* HF_OK, or HF_ENOTFOUND: this thread's last call was not for rmid, or did not fail. */
int hf__kv_failure_get(int rmid, int *ret_code, char *ret_text, size_t text_size);

#endif
