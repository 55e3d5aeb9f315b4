/*
 * What: the decision tables of [TX] appendix B, with the amendments that the head of tm/tx/tx.c
 *       names: every return code of every xa_ call against the code of the tx_ call, with one
 *       resource manager, with two of which the first answers it, and with two that both do.
 * How:  one table of rules; each rule is a range of codes of a call. Every code of xa.h, and two
 *       that are nobody's, are played for each call; the first rule that covers one is its rule.
 *       The number of cases is printed. After each case the thread goes on.
 */
#include "support/tx_world.h"

#define T(fn) cmocka_unit_test_setup_teardown(fn, tx_world_setup, tx_world_teardown)

/* When a code is answered, and by which call. */
enum when {
    IN_OPEN,         /* xa_open in tx_open */
    IN_CLOSE,        /* xa_close in tx_close */
    IN_BEGIN,        /* xa_start in tx_begin */
    IN_END,          /* xa_end in tx_commit */
    IN_END_ROLLBACK, /* xa_end in tx_rollback */
    IN_PREPARE,      /* xa_prepare in tx_commit */
    IN_COMMIT,       /* xa_commit in tx_commit, second phase */
    IN_COMMIT_ONE,   /* xa_commit(TMONEPHASE) in tx_commit */
    IN_ROLLBACK,     /* xa_rollback in tx_rollback */
    IN_UNDO,         /* xa_rollback in tx_commit, after another has voted no */
    IN_FORGET,       /* xa_forget in tx_commit, after XA_HEURCOM */
    IN_RECOVER,      /* xa_recover in tx_open */
    /* With TMASYNC, in tx_commit: the answer that xa_complete brings, and xa_complete's own. */
    IN_ASYNC_PREPARE,
    IN_ASYNC_COMMIT,
    IN_COMPLETE_VOTE,
    IN_COMPLETE_COMMIT,
    WHENS
};

static const char *const when_names[WHENS] = {
    "xa_open in tx_open",         "xa_close in tx_close",
    "xa_start in tx_begin",       "xa_end in tx_commit",
    "xa_end in tx_rollback",      "xa_prepare in tx_commit",
    "xa_commit in tx_commit",     "xa_commit(TMONEPHASE) in tx_commit",
    "xa_rollback in tx_rollback", "xa_rollback in tx_commit",
    "xa_forget in tx_commit",     "xa_recover in tx_open",
    "xa_prepare(TMASYNC)",        "xa_commit(TMASYNC)",
    "xa_complete of a vote",      "xa_complete of a commit",
};

static const int codes[] = {
    XA_OK,      XA_RDONLY,    XA_RETRY,      XA_HEURMIX,     XA_HEURRB,     XA_HEURCOM,
    XA_HEURHAZ, XA_NOMIGRATE, XA_RBROLLBACK, XA_RBCOMMFAIL,  XA_RBDEADLOCK, XA_RBINTEGRITY,
    XA_RBOTHER, XA_RBPROTO,   XA_RBTIMEOUT,  XA_RBTRANSIENT, XAER_ASYNC,    XAER_RMERR,
    XAER_NOTA,  XAER_INVAL,   XAER_PROTO,    XAER_RMFAIL,    XAER_DUPID,    XAER_OUTSIDE,
    42,         -1, /* nobody's */
};
enum { CODES = sizeof(codes) / sizeof(*codes) };

enum { NEVER = 1000 }; /* the case does not exist: who comes second is not called any more */

#define RB XA_RBBASE, XA_RBEND
#define ONLY(code) code, code
#define REST -1000, 1000 /* what no rule before it covers */

static const struct rule {
    enum when when;
    int from, to;
    int one, first, both; /* the TX code, with one resource manager, two, two that both do */
} rules[] = {
    {IN_OPEN, ONLY(XA_OK), TX_OK, TX_OK, TX_OK},
    {IN_OPEN, REST, TX_ERROR, TX_OK, TX_ERROR},

    {IN_CLOSE, ONLY(XA_OK), TX_OK, TX_OK, TX_OK},
    {IN_CLOSE, REST, TX_ERROR, TX_ERROR, TX_ERROR},

    {IN_BEGIN, ONLY(XA_OK), TX_OK, TX_OK, NEVER},
    {IN_BEGIN, ONLY(XA_RETRY), TX_ERROR, TX_ERROR, NEVER},
    {IN_BEGIN, ONLY(XAER_RMERR), TX_ERROR, TX_ERROR, NEVER},
    {IN_BEGIN, ONLY(XAER_DUPID), TX_ERROR, TX_ERROR, NEVER},
    {IN_BEGIN, ONLY(XAER_PROTO), TX_ERROR, TX_ERROR, NEVER},
    {IN_BEGIN, ONLY(XAER_NOTA), TX_ERROR, TX_ERROR, NEVER},
    {IN_BEGIN, ONLY(XAER_ASYNC), TX_ERROR, TX_ERROR, NEVER},
    {IN_BEGIN, ONLY(XAER_OUTSIDE), TX_OUTSIDE, TX_OUTSIDE, NEVER},
    /* XAER_RMFAIL, XAER_INVAL, XA_RB*, and what xa_start must not answer */
    {IN_BEGIN, REST, TX_FAIL, TX_FAIL, NEVER},

    {IN_END, ONLY(XA_OK), TX_OK, TX_OK, TX_OK},
    {IN_END, ONLY(XA_NOMIGRATE), TX_OK, TX_OK, TX_OK},
    {IN_END, REST, TX_ROLLBACK, TX_ROLLBACK, TX_ROLLBACK},

    {IN_END_ROLLBACK, REST, TX_OK, TX_OK, TX_OK},

    {IN_PREPARE, ONLY(XA_OK), NEVER, TX_OK, TX_OK},
    {IN_PREPARE, ONLY(XA_RDONLY), NEVER, TX_OK, TX_OK},
    {IN_PREPARE, REST, NEVER, TX_ROLLBACK, NEVER},

    {IN_COMMIT, ONLY(XA_OK), NEVER, TX_OK, TX_OK},
    {IN_COMMIT, ONLY(XA_HEURCOM), NEVER, TX_OK, TX_OK},
    {IN_COMMIT, ONLY(XA_HEURRB), NEVER, TX_MIXED, TX_ROLLBACK},
    {IN_COMMIT, ONLY(XA_HEURMIX), NEVER, TX_MIXED, TX_MIXED},
    {IN_COMMIT, REST, NEVER, TX_HAZARD, TX_HAZARD}, /* XA_HEURHAZ, and what is not acknowledged */

    {IN_COMMIT_ONE, ONLY(XA_OK), TX_OK, NEVER, NEVER},
    {IN_COMMIT_ONE, ONLY(XA_HEURCOM), TX_OK, NEVER, NEVER},
    {IN_COMMIT_ONE, ONLY(XA_HEURMIX), TX_MIXED, NEVER, NEVER},
    {IN_COMMIT_ONE, ONLY(XA_HEURHAZ), TX_HAZARD, NEVER, NEVER},
    {IN_COMMIT_ONE, ONLY(XAER_RMFAIL), TX_HAZARD, NEVER, NEVER},
    {IN_COMMIT_ONE, REST, TX_ROLLBACK, NEVER, NEVER}, /* asked again by xa_rollback where unclear */

    {IN_ROLLBACK, ONLY(XA_OK), TX_OK, TX_OK, TX_OK},
    {IN_ROLLBACK, RB, TX_OK, TX_OK, TX_OK},
    {IN_ROLLBACK, ONLY(XAER_RMERR), TX_OK, TX_OK, TX_OK},
    {IN_ROLLBACK, ONLY(XAER_NOTA), TX_OK, TX_OK, TX_OK},
    {IN_ROLLBACK, ONLY(XAER_RMFAIL), TX_OK, TX_OK, TX_OK},
    {IN_ROLLBACK, ONLY(XA_HEURRB), TX_OK, TX_OK, TX_OK},
    {IN_ROLLBACK, ONLY(XA_HEURCOM), TX_COMMITTED, TX_MIXED, TX_COMMITTED},
    {IN_ROLLBACK, ONLY(XA_HEURMIX), TX_MIXED, TX_MIXED, TX_MIXED},
    {IN_ROLLBACK, REST, TX_HAZARD, TX_HAZARD, TX_HAZARD},

    {IN_UNDO, ONLY(XA_OK), NEVER, TX_ROLLBACK, NEVER},
    {IN_UNDO, RB, NEVER, TX_ROLLBACK, NEVER},
    {IN_UNDO, ONLY(XAER_RMERR), NEVER, TX_ROLLBACK, NEVER},
    {IN_UNDO, ONLY(XAER_NOTA), NEVER, TX_ROLLBACK, NEVER},
    {IN_UNDO, ONLY(XAER_RMFAIL), NEVER, TX_ROLLBACK, NEVER},
    {IN_UNDO, ONLY(XA_HEURRB), NEVER, TX_ROLLBACK, NEVER},
    {IN_UNDO, ONLY(XA_HEURCOM), NEVER, TX_MIXED, NEVER}, /* the other is rolled back */
    {IN_UNDO, ONLY(XA_HEURMIX), NEVER, TX_MIXED, NEVER},
    {IN_UNDO, REST, NEVER, TX_HAZARD, NEVER},

    {IN_FORGET, REST, TX_OK, TX_OK, TX_OK}, /* it is committed, whatever it answers */

    {IN_RECOVER, REST, TX_OK, TX_OK, TX_OK}, /* what it is owed stays owed, and is told */

    {IN_ASYNC_PREPARE, ONLY(XA_OK), NEVER, TX_OK, TX_OK},
    {IN_ASYNC_PREPARE, ONLY(XA_RDONLY), NEVER, TX_OK, TX_OK},
    {IN_ASYNC_PREPARE, REST, NEVER, TX_ROLLBACK, TX_ROLLBACK}, /* both votes are under way */

    {IN_ASYNC_COMMIT, ONLY(XA_OK), NEVER, TX_OK, TX_OK},
    {IN_ASYNC_COMMIT, ONLY(XA_HEURCOM), NEVER, TX_OK, TX_OK},
    {IN_ASYNC_COMMIT, ONLY(XA_HEURRB), NEVER, TX_MIXED, TX_ROLLBACK},
    {IN_ASYNC_COMMIT, ONLY(XA_HEURMIX), NEVER, TX_MIXED, TX_MIXED},
    {IN_ASYNC_COMMIT, REST, NEVER, TX_HAZARD, TX_HAZARD},

    {IN_COMPLETE_VOTE, ONLY(XA_OK), NEVER, TX_OK, TX_OK},
    {IN_COMPLETE_VOTE, ONLY(XA_RETRY), NEVER, TX_OK, TX_OK},   /* fetched again */
    {IN_COMPLETE_VOTE, REST, NEVER, TX_ROLLBACK, TX_ROLLBACK}, /* the vote is not known: no */

    {IN_COMPLETE_COMMIT, ONLY(XA_OK), NEVER, TX_OK, TX_OK},
    {IN_COMPLETE_COMMIT, ONLY(XA_RETRY), NEVER, TX_OK, TX_OK},
    {IN_COMPLETE_COMMIT, REST, NEVER, TX_HAZARD, TX_HAZARD}, /* owed */
};

static const struct rule *rule_of(enum when when, int code)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++)
        if (rules[i].when == when && code >= rules[i].from && code <= rules[i].to)
            return &rules[i];
    fail_msg("no rule for %d of %s", code, when_names[when]);
    return NULL;
}

static const enum fake_call calls[WHENS] = {
    FAKE_OPEN,    FAKE_CLOSE,  FAKE_START,    FAKE_END,      FAKE_END,    FAKE_PREPARE,
    FAKE_COMMIT,  FAKE_COMMIT, FAKE_ROLLBACK, FAKE_ROLLBACK, FAKE_FORGET, FAKE_RECOVER,
    FAKE_PREPARE, FAKE_COMMIT, FAKE_COMPLETE, FAKE_COMPLETE,
};

static bool is_async(enum when when)
{
    return when >= IN_ASYNC_PREPARE;
}

static bool is_of_open(enum when when)
{
    return when == IN_OPEN || when == IN_RECOVER;
}

/* Answer it once, at the call in question. xa_open comes in the recovery pass first, xa_complete
   with the vote. */
static void script(enum when when, int rm, int code)
{
    bool ended = code == XA_NOMIGRATE && calls[when] == FAKE_END; /* good, whatever it says */

    fake_answer_effect(rm, calls[when], when == IN_OPEN || when == IN_COMPLETE_COMMIT ? 2 : 1, code,
                       ended ? FAKE_DONE : FAKE_BY_TABLE);
    if (when == IN_FORGET)
        fake_answer_once(rm, FAKE_COMMIT, 1, XA_HEURCOM);
}

/* From S1; those of tx_open from S0. */
static int play(enum when when, int code, int answering)
{
    if (!is_of_open(when) && when != IN_CLOSE && when != IN_BEGIN)
        t_tx(TX_OK, tx_begin());
    for (int n = 0; n < answering; n++)
        script(when, n, code);
    if (when == IN_UNDO)
        fake_answer_once(B, FAKE_PREPARE, 1, XA_RBROLLBACK);
    switch (when) {
    case IN_OPEN:
    case IN_RECOVER:
        return tx_open();
    case IN_CLOSE:
        return tx_close();
    case IN_BEGIN:
        return tx_begin();
    case IN_ROLLBACK:
    case IN_END_ROLLBACK:
        return tx_rollback();
    default:
        return tx_commit();
    }
}

/* The thread goes on as if nothing had been, once resource managers answer as they should. */
static void go_on(enum when when, int code)
{
    if (when == IN_CLOSE || (when == IN_OPEN && code != TX_OK)) {
        assert_int_equal(tx_world_state(), 0);
        t_tx(TX_OK, tx_open());
    }
    assert_int_equal(tx_world_state(), when == IN_BEGIN && code == TX_OK ? 3 : 1);
    if (tx_world_state() == 1)
        t_tx(TX_OK, tx_begin());
    t_tx(TX_OK, tx_commit());
    if (is_of_open(when))
        t_tx(TX_OK, tx_close());
}

static unsigned check(struct world *w, enum when when, int code, int count, int answering, int want)
{
    int got;

    if (want == NEVER)
        return 0;
    w->told[0] = '\0';
    got = play(when, code, answering);
    if (got != want) {
        print_error("%d from %s, %d of %d: %s, ", code, when_names[when], answering, count,
                    tx_code_name(got));
        fail_msg("wanted %s; told: %s", tx_code_name(want), w->told);
    }
    if ((want != TX_OK || (when == IN_RECOVER && code < 0)) && w->told[0] == '\0')
        fail_msg("%d from %s: nobody was told why", code, when_names[when]);
    go_on(when, got);
    return 1;
}

/* All codes of one call, with that many resource managers of which so many answer them. */
static unsigned check_call(void **state, enum when when, int count, int answering)
{
    struct world *w = *state;
    unsigned cases = 0;

    for (int n = 0; n < count; n++)
        fake_async(n, is_async(when));
    tx_world_configure(w, count, NULL, NULL);
    if (!is_of_open(when))
        t_tx(TX_OK, tx_open());
    for (int i = 0; i < CODES; i++) {
        const struct rule *r = rule_of(when, codes[i]);

        cases += check(w, when, codes[i], count, answering,
                       count == 1       ? r->one
                       : answering == 1 ? r->first
                                        : r->both);
    }
    (void)tx_world_again(state); /* nothing was called that is not allowed */
    return cases;
}

static void every_code_of_every_call__leads_where_the_tables_say(void **state)
{
    unsigned cases = 0;

    for (int when = 0; when < WHENS; when++) {
        cases += check_call(state, when, 1, 1);
        cases += check_call(state, when, 2, 1);
        cases += check_call(state, when, 2, 2);
    }
    print_message("decision tables: %u cases, %d codes of %d calls\n", cases, CODES, WHENS);
    assert_int_equal(cases, 938); /* a rule that hides others is noticed */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_code_of_every_call__leads_where_the_tables_say),
    };
    return cmocka_run_group_tests_name("tx.codes", tests, NULL, NULL);
}
