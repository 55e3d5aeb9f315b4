/*
 * rm/kv/openstring.h - what the open string of xa_open() says (holdfast/kv.h describes it).
 */
#ifndef HF_KV_OPENSTRING_H
#define HF_KV_OPENSTRING_H

#include <stdint.h>

#include "xa.h"

struct kv_openstring {
    char dir[MAXINFOSIZE]; /* the store's directory, never empty */
    uint32_t wait_ms;      /* most milliseconds to wait for one lock */
    int create;            /* make the store if it is not there */
};

/* Read text. HF_OK, or HF_EINVAL with hf_error_last() naming the key; ret is then not written. */
int hf__kv_openstring_parse(const char *text, struct kv_openstring *ret);

#endif
