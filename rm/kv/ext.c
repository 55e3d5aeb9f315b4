/*
 * rm/kv/ext.c - hf_kv_ext: which store it is, what became of a branch, why a call failed.
 *
 * Proof: an outcome is written by the very apply that ends the branch (disk.c K2), so what is
 * remembered is certain. What is not remembered is HF_PROBE_UNKNOWN: it was never prepared, or its
 * outcome is older than the newest KV_OUTCOMES_MAX. settings is NULL, as kv has none that weaken
 * it; token and detach are NULL, as the XID is proof enough and sessions do not exist.
 *
 * A cancel spoils the branch that the rmid is associated with, not only the call that runs: so a
 * call that comes a moment later does not begin to wait for a lock.
 *
 * Threads: as the switch.
 * Spec: DESIGN: verified outcomes; no part of [XA].
 */
#include <string.h>

#include "association.h"
#include "failure.h"
#include "holdfast/internal/store.h"
#include "holdfast/kv.h"

static int find_entry(int rmid, struct kv_rmid **ret)
{
    if (hf__kv_rmid_is_forked())
        return hf__error(HF_EFORK, 0, "kv: used in a child process after fork");
    *ret = hf__kv_rmid_find(rmid);
    if (*ret == NULL)
        return hf__error(HF_EINVAL, 0, "kv: rmid %d is not open", rmid);
    return HF_OK;
}

static int ext_identity(void *user, int rmid, unsigned char ret_id[HF_IDENTITY_SIZE])
{
    struct kv_rmid *entry;
    int rc = find_entry(rmid, &entry);

    (void)user;
    if (rc != HF_OK)
        return rc;
    memset(ret_id, 0, HF_IDENTITY_SIZE);
    memcpy(ret_id, hf__store_identity(entry->place->store), HF__STORE_ID_SIZE);
    return HF_OK;
}

static int ext_probe(void *user, int rmid, const XID *xid, const void *token, size_t token_size,
                     enum hf_probe *ret)
{
    enum hf_probe answer = HF_PROBE_UNKNOWN;
    struct kv_rmid *entry;
    struct kv_xid name;
    int rc = find_entry(rmid, &entry);

    (void)user;
    (void)token;
    (void)token_size;
    if (rc != HF_OK)
        return rc;
    if (hf__kv_layout_xid(xid, &name) != 0)
        return hf__error(HF_EINVAL, 0, "kv: not an XID");
    rc = hf__kv_branch_probe(entry->place, &name, &answer);
    if (rc == HF_OK)
        *ret = answer;
    return rc;
}

static int ext_cancel(void *user, int rmid)
{
    struct kv_rmid *entry;
    int rc = find_entry(rmid, &entry);

    (void)user;
    if (rc == HF_OK)
        hf__kv_association_cancel(entry);
    return rc;
}

static int ext_error(void *user, int rmid, int *ret_native, char *ret_text, size_t text_size)
{
    (void)user;
    return hf__kv_failure_get(rmid, ret_native, ret_text, text_size);
}

const hf_rm_ext hf_kv_ext = {
    .size = sizeof(hf_rm_ext),
    .identity = ext_identity,
    .probe = ext_probe,
    .cancel = ext_cancel,
    .error = ext_error,
};
