/*
 * rm/mariadb/words.h - why the calling thread's last call to the switch failed, for
 * hf_rm_ext.error.
 *
 * An rmid that could not be opened has no place to keep this, so it belongs to the thread: the
 * transaction manager asks in the thread in which the call failed.
 */
#ifndef HF_MARIADB_WORDS_H
#define HF_MARIADB_WORDS_H

#include <stddef.h>

/* A call of the switch begins: what was known is forgotten. */
void hf__my_words_begin(int rmid);
/* What stood behind the answer. The first thing that is noted is kept: it explains the rest. */
void hf__my_words_note(int native, const char *text);
/* The call answers xa_code; if nothing was noted, note what the code itself says. Returns it. */
int hf__my_words_end(int xa_code);
/* 0, or -1: this thread's last call was not for rmid, or did not fail. */
int hf__my_words_get(int rmid, int *ret_native, char *ret_text, size_t text_size);

#endif
