/*
 * tests/support/fake_rm.h - four scripted resource managers, "a" to "d", and a world to use.
 *
 * Each is an xa_switch_t that keeps branches as [XA] table 6-4 has them, appends every call to one
 * trace, and answers XA_OK unless a script says otherwise:
 *
 *   fake_answer(A, FAKE_PREPARE, XA_RBDEADLOCK);      from now on
 *   fake_answer_once(A, FAKE_COMMIT, 2, XA_RETRY);    to the second xa_commit from now
 *   world_begin(w, 2, &tx); t_ok(hf_tx_commit(tx, NULL));
 *   world_expect(w, "a.start b.start a.end b.end a.prepare b.prepare" LOG " a.commit b.commit");
 *
 * A switch that fake_async() was asked of has TMUSEASYNC: xa_prepare(TMASYNC) and
 * xa_commit(TMASYNC) give a handle, and the answer, as the script had it at the time of the call,
 * comes by xa_complete and has its effect then. Until then the XID has to stay as and where it was,
 * and no other call may come to the same rmid.
 *
 * In the trace a flag stands behind the call where it matters: start(join), start(resume),
 * end(fail), end(suspend), prepare(async), commit(one), recover for the first call of a scan and
 * recover(more) for the others. In a fault build "log" stands where a decision has become durable,
 * and "record" where what branches did by themselves has.
 *
 * A call that tables 6-2 and 6-4 do not allow to a transaction manager, an rmid that is used after
 * it answered XAER_RMFAIL, an association ended by another thread: each fails the test, in
 * world_teardown(). All of it lives in memory that is shared with children: a branch outlives the
 * process that prepared it, and one that was not prepared dies with it.
 *
 * Threads: any, and any process that was forked by fake_child().
 */
#ifndef HF_TESTS_SUPPORT_FAKE_RM_H
#define HF_TESTS_SUPPORT_FAKE_RM_H

#include "support/t.h"

#include <stdbool.h>
#include <sys/types.h>

#include "holdfast/internal/fault.h"
#include "holdfast/transaction.h"

enum { A, B, C, D, FAKE_RMS };

enum fake_call {
    FAKE_OPEN,
    FAKE_CLOSE,
    FAKE_START,
    FAKE_END,
    FAKE_ROLLBACK,
    FAKE_PREPARE,
    FAKE_COMMIT,
    FAKE_RECOVER,
    FAKE_FORGET,
    FAKE_COMPLETE,
    FAKE_IDENTITY, /* hooks: an answer other than 0 is what the hook returns */
    FAKE_SETTINGS,
    FAKE_TOKEN,
    FAKE_PROBE,
    FAKE_CANCEL,
    FAKE_DETACH,
    FAKE_ERROR, /* not in the trace: it changes nothing */
    FAKE_CALLS
};

/* What becomes of the branch, whatever the answer. */
enum fake_effect {
    FAKE_BY_TABLE, /* what table 6-4 says of the answer */
    FAKE_DONE,     /* what XA_OK would have done: the answer was lost on the way */
    FAKE_GONE,     /* it is rolled back and forgotten */
    FAKE_STAYS,    /* nothing */
    FAKE_AT_ONCE,  /* by the table; a call with TMASYNC answers so instead of giving a handle */
};

enum fake_state { FAKE_ABSENT, FAKE_ACTIVE, FAKE_IDLE, FAKE_PREPARED, FAKE_DOOMED, FAKE_HEURISTIC };

#ifdef HF_FAULTS
#define LOG " log"
#define RECORD " record"
#else
#define LOG ""
#define RECORD ""
#endif

/* -- what they answer -------------------------------------------------------------------------- */

/* Everything as it was when the program began. */
void fake_reset(void);
/* Always; XA_OK: honest again. */
void fake_answer(int rm, enum fake_call call, int code);
/* From now on the truth, in every call; nobody holds anything. */
void fake_honest(int rm);
/* The n-th call from now, from 1. */
void fake_answer_once(int rm, enum fake_call call, unsigned n, int code);
void fake_answer_effect(int rm, enum fake_call call, unsigned n, int code, enum fake_effect effect);
/* Called before each call is served, in the thread that makes it; NULL: nobody. This process only.
   */
void fake_on_call(void (*fn)(void *user, int rm, enum fake_call call), void *user);

/* Its switch has TMUSEASYNC, and its rank. Before it is registered. */
void fake_async(int rm, bool async);
void fake_rank(int rm, int rank);
/* Hooks of the extension: a bit for each, 1u << FAKE_IDENTITY and so on. Before it is registered.
   */
void fake_offer(int rm, unsigned hooks);
/* Its associations may be ended by another thread than started them. They may not, at first. */
void fake_migrates(int rm);
/* What identity() says from now on; 1 at first. */
void fake_identity(int rm, unsigned char identity);
/* settings() is content, and warns all the same. */
void fake_warn(int rm, bool warns);
/* What probe() says from now on; -1: the truth. */
void fake_probe(int rm, int answer);
/* A session that died hangs on: what is prepared is XAER_NOTA to xa_commit and xa_rollback, though
   a scan lists it, until detach() has answered 0, without FAKE_STAYS. */
void fake_hold(int rm, bool held);
/* Scans list what they would have listed before anything was prepared, or as long as it was; what
   is listed so may be told again, and answers XAER_NOTA. */
enum fake_scan { FAKE_SCAN_NOW, FAKE_SCAN_BEFORE, FAKE_SCAN_AFTER };
void fake_scan(int rm, enum fake_scan scan);
/* What error() says from now on. */
void fake_error(int rm, int native, const char *text);

/* -- what they have ---------------------------------------------------------------------------- */

const struct xa_switch_t *fake_switch(int rm);
/* What xa_start was given last. */
XID fake_last_xid(int rm);
/* A branch that somebody prepared. */
void fake_put(int rm, const XID *xid);
enum fake_state fake_state(int rm, const XID *xid);
/* Prepared and heuristic ones, as xa_recover lists them. */
unsigned fake_in_doubt(int rm);
/* Branches that ended so, and rmids that are open. */
unsigned fake_committed(int rm);
unsigned fake_rolled_back(int rm);
unsigned fake_open_rmids(int rm);
unsigned fake_calls(int rm, enum fake_call call);
/* What it has ever said of a branch, to xa_commit or by a probe: that it is committed (XA_OK,
   XA_HEURCOM), that it ended otherwise. */
enum { FAKE_SAID_COMMITTED = 1, FAKE_SAID_OTHERWISE = 2 };
unsigned fake_said(int rm);
/* Somebody else ends a branch: another recoverer, an operator. */
void fake_finish(int rm, const XID *xid, bool commit);

/* -- children ---------------------------------------------------------------------------------- */

/* Run fn(arg) in a child and wait: its wait status. It ends by _exit(0) when fn returns. */
int fake_child(void (*fn)(void *arg), void *arg);
/* The same, but go on while it runs: returns when the child called fake_child_pause(). */
pid_t fake_child_start(void (*fn)(void *arg), void *arg);
void fake_child_pause(void);
/* Let it go on after its pause, or kill it; wait for it. */
int fake_child_end(pid_t pid);
int fake_child_kill(pid_t pid);

/* Checks for a child, where cmocka's do not work: it says what is wrong and exits with 99. */
#define must(expr) ((expr) ? (void)0 : fake_child_fail(#expr, __FILE__, __LINE__))
#define must_ok(expr) must((expr) == HF_OK)
void fake_child_fail(const char *what, const char *file, int line);
/* 4,096 bytes that children share with this process; zero after fake_reset(). */
void *fake_shared(void);

/* -- a world ----------------------------------------------------------------------------------- */

struct world {
    char *dir;
    char node[512];
    hf_tm *tm;
    hf_rm *rm[FAKE_RMS];
    hf_instance *in[FAKE_RMS];
    char told[8192]; /* what the log callback was given, a line each */
    unsigned alarms;
};

/* Setup and teardown of cmocka: a directory without a node, and nothing that was not allowed. */
int world_setup(void **state);
int world_teardown(void **state);
/* Both, in the middle of a test: the next row of a table begins with nothing. */
struct world *world_again(void **state);

/* hf_tm_open in this process; in a child, too. */
void world_open(struct world *w);
int world_try_open(struct world *w);
void world_register(struct world *w, int count);
/* Open, register the first count, start, an instance of each; the trace is empty after it. */
void world_start(struct world *w, int count);
void world_instances(struct world *w, int count);
/* Close the instances and the tm, so that both can be opened again. */
void world_close(struct world *w);
/* Begin a transaction and enlist the first count. */
void world_begin(struct world *w, int count, hf_tx **ret_tx);

const char *world_trace(void);
void world_trace_clear(void);
/* The trace is this; it is empty after it. */
void world_expect(const char *trace);

hf_tm_stats world_stats(struct world *w);
hf_outcome world_outcome(struct world *w, const XID *xid);
/* Transactions in the decision log, which is verified too; the node must not be open in this
   process. */
unsigned world_records(struct world *w);
/* Like another one, with this sequence; incarnation 0: the same. The nonce is the same, too. */
XID world_xid(const XID *like, uint32_t incarnation, uint64_t sequence);

/* Make the n-th hit of a failpoint from now fail or kill; n 0: every one. Fault builds only. */
#ifdef HF_FAULTS
void fault_at(const char *name, const char *action, unsigned n);
#endif

#endif
