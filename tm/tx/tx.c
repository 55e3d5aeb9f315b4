/*
 * tm/tx/tx.c - the TX interface: states, and what tm answers as TX codes.
 *
 * A thread is in S0 while it has no struct hf__tx_thread, in S3 or S4 while it has a transaction;
 * it is in S2 or S4 if it is chained. Every call looks at that first (table 7-1), and
 * TX_PROTOCOL_ERROR changes nothing. Whatever is not TX_OK is explained to the host.
 *
 * The severity rules of [TX] B.5 are in the coordinator, which combines the answers of all branches
 * into one outcome; here the outcome is given its code. Where ours differs from B.5, and why:
 *
 *   commit, a branch that has not acknowledged it (XA_RETRY, XAER_RMFAIL, XAER_NOTA, ...)
 *     B.5: TX_FAIL, for some TX_MIXED    ours: TX_HAZARD. The decision stands in the log, recovery
 *                                        or a probe finds out, and the thread can go on.
 *   rollback, a branch out of reach (XAER_RMFAIL)
 *     B.5: TX_FAIL; TX_HAZARD if its     ours: as if it had answered. Presumed abort: without a
 *     vote had failed, too               record nobody can tell it to commit.
 *   rollback, a branch that refuses it (XA_RETRY, XAER_PROTO, XAER_INVAL)
 *     B.5: TX_FAIL                       ours: TX_HAZARD. The thread can go on.
 *   xa_end, XAER_RMFAIL, XAER_PROTO, XAER_INVAL
 *     B.5: TX_FAIL                       ours: TX_ROLLBACK, which is what becomes of it.
 *   one phase, XAER_RMFAIL               B.5: TX_FAIL     ours: TX_HAZARD, recorded in the log
 *
 * Spec: [TX] 5, 7 (table 7-1), B.
 */
#include <string.h>

#include "thread.h"

/* -- codes ------------------------------------------------------------------------------------ */

/* Of an xa_start that was refused; [TX] B.1. */
static int code_of_start(int xa_code)
{
    switch (xa_code) {
    case XAER_OUTSIDE:
        return TX_OUTSIDE;
    case XA_RETRY:
    case XAER_RMERR:
    case XAER_DUPID:
    case XAER_PROTO:
    case XAER_NOTA:
    case XAER_ASYNC:
        return TX_ERROR;
    default:
        return TX_FAIL;
    }
}

static int code_of_begin(int rc)
{
    switch (rc) {
    case HF_OK:
        return TX_OK;
    case HF_EBUSY:
        return TX_OUTSIDE;
    case HF_ERM:
        return code_of_start(hf_error_last()->xa_code);
    case HF_ELOG:
    case HF_EFENCED:
    case HF_EUNKNOWN:
        return TX_FAIL;
    default:
        return TX_ERROR;
    }
}

static int code_of_commit(int rc, const hf_result *r, COMMIT_RETURN when_return)
{
    switch (rc) {
    case HF_OK:
        return r->doubtful > 0 && when_return == TX_COMMIT_COMPLETED ? TX_HAZARD : TX_OK;
    case HF_EROLLEDBACK:
        return r->doubtful > 0 ? TX_HAZARD : TX_ROLLBACK;
    case HF_EHEURISTIC:
        return r->outcome == HF_MIXED ? TX_MIXED : TX_HAZARD;
    default:
        return TX_FAIL;
    }
}

static int code_of_rollback(int rc, const hf_result *r)
{
    if (rc == HF_OK)
        return r->doubtful > 0 ? TX_HAZARD : TX_OK;
    if (rc != HF_EHEURISTIC)
        return TX_FAIL;
    switch (r->outcome) {
    case HF_COMMITTED:
        return TX_COMMITTED;
    case HF_MIXED:
        return TX_MIXED;
    default:
        return TX_HAZARD;
    }
}

/* -- begin ------------------------------------------------------------------------------------ */

/* xa_start everywhere. What has begun is undone if one refuses. */
static int enlist(struct hf__tx_thread *t)
{
    int rc = HF_OK, code;

    for (unsigned i = 0; rc == HF_OK && i < t->count; i++)
        if (t->slots[i].instance != NULL && !t->slots[i].dynamic)
            rc = hf_tx_enlist(t->tx, t->slots[i].instance);
    if (rc == HF_OK)
        return TX_OK;
    code = code_of_begin(rc);
    hf__tx_tell(HF_LOG_WARNING, "tx_begin: %s", hf_error_last()->text);
    (void)hf_tx_rollback(t->tx, NULL); /* no work was done in it */
    t->tx = NULL;
    return code;
}

static int begin(struct hf__tx_thread *t)
{
    int rc;

    hf__tx_behind_wait(t);
    rc = hf__tx_thread_mend(t);
    if (rc != HF_OK)
        return TX_ERROR; /* was told */
    rc = hf_tx_begin(t->tm, (uint32_t)t->timeout * 1000, &t->tx);
    if (rc == HF_OK)
        return enlist(t);
    hf__tx_tell(HF_LOG_WARNING, "tx_begin: %s", hf_error_last()->text);
    t->tx = NULL;
    return code_of_begin(rc);
}

/* The transaction is over with this code: begin the next, if that is wanted. */
static int chain(struct hf__tx_thread *t, int code)
{
    t->tx = NULL;
    if (!t->chained || code == TX_FAIL || begin(t) == TX_OK)
        return code;
    return code + TX_NO_BEGIN;
}

/* Say why a completion was not plainly what was asked for. */
static void explain(const char *call, int code, const hf_result *r)
{
    if (code == TX_OK)
        return;
    hf__tx_tell(code == TX_ROLLBACK ? HF_LOG_INFO : HF_LOG_ALARM,
                "%s: %s, %u branches are owed their end: %s", call, hf_outcome_name(r->outcome),
                r->owed, r->text);
}

/* Was nothing done? The transaction is what it was then. */
static bool untouched(const char *call, int rc)
{
    if (rc != HF_EBUSY && rc != HF_ESTATE && rc != HF_ETHREAD && rc != HF_EINVAL && rc != HF_EFORK)
        return false;
    hf__tx_tell(HF_LOG_WARNING, "%s: %s", call, hf_error_last()->text);
    return true;
}

/* Not to be called in this state: nothing is done. */
static int refuse(const char *call, const struct hf__tx_thread *t)
{
    const char *why = "is in no transaction";

    if (t == NULL)
        why = "has not called tx_open()";
    else if (t->tx != NULL)
        why = "is in a transaction";
    hf__tx_tell(HF_LOG_WARNING, "%s: TX_PROTOCOL_ERROR: this thread %s", call, why);
    return TX_PROTOCOL_ERROR;
}

static int invalid(const char *call, long value)
{
    hf__tx_tell(HF_LOG_WARNING, "%s: TX_EINVAL: %ld is not one of its values", call, value);
    return TX_EINVAL;
}

/* -- the interface ---------------------------------------------------------------------------- */

int tx_open(void)
{
    return hf__tx_self() != NULL ? TX_OK : hf__tx_thread_open();
}

int tx_close(void)
{
    struct hf__tx_thread *t = hf__tx_self();

    if (t == NULL)
        return TX_OK;
    return t->tx != NULL ? refuse("tx_close", t) : hf__tx_thread_close(t);
}

int tx_begin(void)
{
    struct hf__tx_thread *t = hf__tx_self();

    return t == NULL || t->tx != NULL ? refuse("tx_begin", t) : begin(t);
}

/* hf_tx_commit(), or what this thread has asked for instead. */
static int commit(struct hf__tx_thread *t, hf_result *result)
{
    hf_tx *rest = NULL;
    int rc;

    if (t->when_return == TX_COMMIT_COMPLETED)
        return hf_tx_commit(t->tx, result);
    rc = hf_tx_decide(t->tx, result, &rest);
    if (rest == NULL)
        return rc;
    if (t->bound)
        return hf_tx_finish(rest, result);
    hf__tx_behind_push(t, rest);
    return rc;
}

int tx_commit(void)
{
    struct hf__tx_thread *t = hf__tx_self();
    hf_result result = HF_RESULT_INIT;
    int rc, code;

    if (t == NULL || t->tx == NULL)
        return refuse("tx_commit", t);
    rc = commit(t, &result);
    if (untouched("tx_commit", rc))
        return TX_PROTOCOL_ERROR;
    code = code_of_commit(rc, &result, t->when_return);
    explain("tx_commit", code, &result);
    return chain(t, code);
}

int tx_rollback(void)
{
    struct hf__tx_thread *t = hf__tx_self();
    hf_result result = HF_RESULT_INIT;
    int rc, code;

    if (t == NULL || t->tx == NULL)
        return refuse("tx_rollback", t);
    rc = hf_tx_rollback(t->tx, &result);
    if (untouched("tx_rollback", rc))
        return TX_PROTOCOL_ERROR;
    code = code_of_rollback(rc, &result);
    explain("tx_rollback", code, &result);
    return chain(t, code);
}

/* Of a transaction. */
static TRANSACTION_STATE state_of(hf_tx *tx)
{
    hf_tx_state state = HF_TX_ROLLBACK_ONLY;

    (void)hf_tx_get_state(tx, &state); /* it is this thread's: it cannot fail */
    if (state == HF_TX_ACTIVE)
        return TX_ACTIVE;
    return state == HF_TX_TIMED_OUT ? TX_TIMEOUT_ROLLBACK_ONLY : TX_ROLLBACK_ONLY;
}

int tx_info(TXINFO *info)
{
    const struct hf__tx_thread *t = hf__tx_self();

    if (t == NULL)
        return refuse("tx_info", t);
    if (info != NULL) {
        memset(info, 0, sizeof(*info));
        info->xid.formatID = -1;
        info->when_return = t->when_return;
        info->transaction_control = t->chained ? TX_CHAINED : TX_UNCHAINED;
        info->transaction_timeout = t->timeout;
        if (t->tx != NULL) {
            (void)hf_tx_xid(t->tx, &info->xid); /* the same */
            info->transaction_state = state_of(t->tx);
        }
    }
    return t->tx != NULL;
}

int tx_set_commit_return(COMMIT_RETURN when_return)
{
    struct hf__tx_thread *t = hf__tx_self();

    if (t == NULL)
        return refuse("tx_set_commit_return", t);
    if (when_return != TX_COMMIT_COMPLETED && when_return != TX_COMMIT_DECISION_LOGGED)
        return invalid("tx_set_commit_return", when_return);
    if (when_return == TX_COMMIT_DECISION_LOGGED && !hf__tx_behind_start()) {
        hf__tx_tell(HF_LOG_WARNING, "tx_set_commit_return: TX_NOT_SUPPORTED: no thread for it");
        return TX_NOT_SUPPORTED;
    }
    t->when_return = when_return;
    return TX_OK;
}

int tx_set_transaction_control(TRANSACTION_CONTROL control)
{
    struct hf__tx_thread *t = hf__tx_self();

    if (t == NULL)
        return refuse("tx_set_transaction_control", t);
    if (control != TX_UNCHAINED && control != TX_CHAINED)
        return invalid("tx_set_transaction_control", control);
    t->chained = control == TX_CHAINED;
    return TX_OK;
}

int tx_set_transaction_timeout(TRANSACTION_TIMEOUT timeout)
{
    struct hf__tx_thread *t = hf__tx_self();

    if (t == NULL)
        return refuse("tx_set_transaction_timeout", t);
    if (timeout < 0 || timeout > (TRANSACTION_TIMEOUT)(UINT32_MAX / 1000))
        return invalid("tx_set_transaction_timeout", timeout);
    t->timeout = timeout;
    return TX_OK;
}
