/*
 * rm/kv/failure.c - the thread's last failure in the switch; failure.h says why it is the thread's.
 *
 * The native code of kv is Holdfast's own result code. Texts come from the store and from kv; they
 * name no key and no value.
 *
 * Threads: thread-local.
 */
#include "failure.h"

#include <stdio.h>

#include "holdfast/base.h"

static _Thread_local struct {
    int rmid;
    int code; /* HF_OK: nothing is noted */
    char text[sizeof(((hf_error *)0)->text)];
} last;

void hf__kv_failure_begin(int rmid)
{
    last.rmid = rmid;
    last.code = HF_OK;
}

void hf__kv_failure_note(int code)
{
    const hf_error *error = hf_error_last();

    last.code = code;
    (void)snprintf(last.text, sizeof(last.text), "%s",
                   error->code == code ? error->text : hf_strerror(code));
}

int hf__kv_failure_end(int xa_code)
{
    static const struct {
        int xa_code;
        int code;
        const char *text;
    } plain[] = {
        {XAER_ASYNC, HF_EINVAL, "kv has no asynchronous calls"},
        {XAER_INVAL, HF_EINVAL, "flags or an argument of the call are not valid"},
        {XAER_PROTO, HF_ESTATE, "the call is not allowed in this state"},
        {XAER_NOTA, HF_ENOTFOUND, "no such branch"},
        {XAER_DUPID, HF_EEXIST, "the branch exists already"},
        {XAER_RMFAIL, HF_EIO, "the store failed: close every instance of it and open again"},
        {XA_RBTIMEOUT, HF_ETIMEOUT, "a lock was not to be had in time, or the time was over"},
        {XA_RBDEADLOCK, HF_EROLLEDBACK, "the branch was given up to end a deadlock"},
    };

    for (size_t i = 0; last.code == HF_OK && i < sizeof(plain) / sizeof(plain[0]); i++) {
        if (plain[i].xa_code != xa_code)
            continue;
        last.code = plain[i].code;
        (void)snprintf(last.text, sizeof(last.text), "kv: %s", plain[i].text);
    }
    return xa_code;
}

int hf__kv_failure_get(int rmid, int *ret_code, char *ret_text, size_t text_size)
{
    if (last.rmid != rmid || last.code == HF_OK)
        return HF_ENOTFOUND;
    *ret_code = last.code;
    if (text_size > 0)
        (void)snprintf(ret_text, text_size, "%s", last.text);
    return HF_OK;
}
