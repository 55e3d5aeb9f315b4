/*
 * tools/txctl/forget.c - txctl tx forget: a transaction of which branches decided by themselves has
 * been looked at, and is listed no more.
 *
 * It is shown first, every branch as the log knows it, and written only with --yes. There is
 * nothing to decide: each branch has ended, and the damage stays what it is. What is still owed, or
 * has no such branch, is refused: that is recovery's. Whole identifiers only: the beginning of one
 * may be another's tomorrow.
 *
 * A process that has the node open does it, asked by a request in the log; if there is none, we do.
 *
 * Threads: one.
 */
#include <inttypes.h>
#include <string.h>

#include "txctl.h"

/* What the decision log has of the wanted one. */
struct found {
    XID xid;
    bool there;
    unsigned owed;
    bool heuristic;
};

static int find(void *user, const hf_inspect_tx *tx)
{
    struct found *f = user;

    if (memcmp(tx->xid.data, f->xid.data, (size_t)f->xid.gtrid_length) != 0)
        return 0;
    f->there = true;
    f->owed = tx_count(tx, HF_BRANCH_OWED) + tx_count(tx, HF_BRANCH_UNCONFIRMED);
    f->heuristic = f->owed + tx_count(tx, HF_BRANCH_DONE) < tx->branch_count;
    return 1; /* no need to go on */
}

/* May it be forgotten? Complains. */
static int check(const struct call *call, const struct found *f)
{
    if (!f->there) {
        complain("tx forget: %s is not in the decision log of %s any more: nothing was written",
                 call->xid, call->node);
        return NOT_FOUND;
    }
    if (f->owed > 0)
        complain("tx forget: %u of its branches are still owed: start the server, whose recovery "
                 "finishes them; nothing was written",
                 f->owed);
    else if (!f->heuristic)
        complain("tx forget: no branch of it decided by itself, and recovery removes it; nothing "
                 "was written");
    else if (!call->yes)
        complain("tx forget: nothing was written: say --yes, too");
    else
        return DONE;
    return REFUSED;
}

static int forget(const struct call *call, hf_inspect *in, const XID *xid)
{
    hf_inspect_request request = {.size = sizeof(request)};
    int code, rc = hf_inspect_forget(in, xid, call->reason, &request.number);

    if (rc == HF_ESTATE) {
        complain("tx forget: it has changed meanwhile: look again; nothing was written");
        return REFUSED;
    }
    if (rc != HF_OK)
        return complain_of(rc, "forget a transaction of", call->node);
    code = wait_request(call, in, "tx forget", &request);
    if (code != DONE || request.state == 0 || request.result == HF_OK)
        return code;
    complain("tx forget: incarnation %" PRIu32 " did not: %s", request.incarnation,
             hf_strerror(request.result));
    return request.result == HF_ESTATE ? REFUSED : exit_of(request.result);
}

int tx_forget(const struct call *call)
{
    hf_inspect *in = NULL;
    struct found f = {.there = false};
    int rc, code;

    if (hf_xid_parse(call->xid, &f.xid) != HF_OK) {
        complain("tx forget: %s: not a whole transaction identifier", call->xid);
        return USAGE;
    }
    code = tx_show(call);
    if (code == DONE)
        code = open_node(call, &in);
    if (code != DONE)
        return code;
    (void)putchar('\n');
    rc = hf_inspect_transactions(in, find, &f);
    code = rc < 0 ? complain_of(rc, "read the decision log of", call->node) : check(call, &f);
    if (code == DONE)
        code = forget(call, in, &f.xid);
    hf_inspect_close(in);
    return code;
}
