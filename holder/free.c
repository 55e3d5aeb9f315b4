/*
 * holder/free.c - a resource leaves use: freed by its user, or taken from him.
 *
 * One whose transaction is just ending is in that thread's hands (ENDING); then only the fact is
 * written down here, and that thread goes on with it in hf__settle(). So a free never waits for a
 * callback of another thread.
 */
#include "holdfast/internal/fault.h"
#include "room.h"

int hf_holder_free(hf_holder *h, hf_resid id)
{
    struct hf__answers answers = {HF_OK, HF_OK};
    struct hf__record *r;
    struct hf__call call;
    int rc = hf__holder_check(h);

    if (rc != HF_OK)
        return rc;
    hf__enter(h, &call);
    r = hf__find(h, id);
    if (r == NULL || r->tracked || !r->used) {
        hf__leave(h, &call);
        return hf__error(HF_EINVAL, 0, "free: not in use");
    }
    r->used = false;
    r->unreset = true;
    if (r->state == HF__USED) {
        r->state = HF__RESETTING;
        hf__settle(h, r, &answers);
    } else {
        r->tag = NULL; /* good until we return, and no longer */
    }
    rc = answers.reset == HF_OK ? HF_OK : hf__driver_failed(h, "reset", answers.reset);
    hf__leave(h, &call);
    return rc;
}

int hf_holder_request_destroy(hf_holder *h, hf_resid id)
{
    struct hf__answers answers = {HF_OK, HF_OK};
    struct hf__record *r;
    struct hf__call call;
    int rc = hf__holder_check(h);

    if (rc != HF_OK)
        return rc;
    hf__enter(h, &call);
    if (h->state != HF__OPEN) {
        rc = hf__error(HF_ECLOSED, 0, "%s: closed", h->name);
        hf__leave(h, &call);
        return rc;
    }
    r = hf__find(h, id);
    if (r == NULL || r->tracked || r->requested || r->state == HF__DESTROYING) {
        hf__leave(h, &call);
        return hf__error(HF_EINVAL, 0, "request a destroy: not one that can be");
    }
    r->requested = r->doomed = true;
    r->used = false;
    r->tag = NULL; /* it may be destroyed after its user has gone */
    HF_FAULT("holder:requested");
    if (r->state == HF__IDLE || r->state == HF__USED) {
        hf__list_remove(&r->link);
        r->state = HF__RESETTING;
        hf__settle(h, r, &answers);
    }
    rc = answers.destroy == HF_OK ? HF_OK : hf__driver_failed(h, "destroy", answers.destroy);
    hf__leave(h, &call);
    return rc;
}
