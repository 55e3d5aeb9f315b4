/*
 * tests/unit/tm/make_node.c - a program that makes a node, for the tests of txctl.
 *
 *   make_node DIR WORD...
 *
 * opens the node as a new incarnation and does what each word says; for a transaction it prints the
 * word and the XID.
 *
 *   owed unconfirmed heuristic done    a transaction in the log, its first branch in that state
 *   finished                           a transaction in the history
 *   back-in-time                       the alarm of that name
 *   close                              close cleanly and end
 *   live                               print "live", answer requests until stdin ends, then die;
 *                                      what is to be forgotten it forgets
 *   deaf                               print "live", answer nothing until stdin ends, then die
 * Without close it dies at the end: exits without closing anything.
 */
#include "make_node.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

static int say(const char *word, const struct hf__rec *rec, int rc)
{
    char text[HF_XID_TEXT_SIZE];
    XID xid;

    if (rc != HF_OK)
        return rc;
    hf__xid_make(&xid, rec->gtrid, 0, 0);
    rc = hf_xid_format(&xid, text);
    (void)printf("%s %s\n", word, text);
    return rc;
}

static int do_transaction(struct maker *m, const char *word)
{
    static const struct {
        const char *word;
        hf_outcome outcome;
        uint8_t state;
        int16_t code;
    } rows[] = {
        {"owed", HF_COMMITTED, HF_BRANCH_OWED, XA_RETRY},
        {"unconfirmed", HF_COMMITTED, HF_BRANCH_UNCONFIRMED, XAER_NOTA},
        {"heuristic", HF_MIXED, HF_BRANCH_HEUR_ROLLBACK, XA_HEURRB},
        {"done", HF_COMMITTED, HF_BRANCH_DONE, XA_OK},
    };
    struct hf__rec rec;

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (strcmp(word, rows[i].word) == 0) {
            int rc = make_tx(m, rows[i].outcome, rows[i].state, rows[i].code, HF_BRANCH_DONE, &rec);

            return say(word, &rec, rc);
        }
    return HF_EINVAL;
}

static int do_finished(struct maker *m)
{
    struct hf__rec rec = {.decision = HF__COMMIT,
                          .outcome = HF_COMMITTED,
                          .by_recovery = true,
                          .decided_ms = hf__now_ms(),
                          .written_by = hf__log_incarnation(m->log)};

    hf__gtrid_make(rec.gtrid, hf__log_node(m->log), hf__log_incarnation(m->log), ++m->sequence);
    hf__history_remember(hf__log_history(m->log), &(struct hf__finished){.rec = &rec}, 1);
    return say("finished", &rec, HF_OK);
}

static int note_request(void *user, const struct hf__request *q)
{
    struct hf__request *to = user;

    *to = *q;
    return 1; /* one at a time */
}

/* Bound: until stdin ends. */
static int live(struct maker *m, bool deaf)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    int rc = HF_OK;

    (void)puts("live");
    (void)fflush(stdout);
    while (rc == HF_OK && poll(&in, 1, 50) == 0) {
        struct hf__request q;

        if (deaf || hf__log_requests(m->log, note_request, &q) != 1)
            continue;
        rc = q.verb == HF_REQUEST_FORGET ? hf__log_forget(m->log, &q, true) : HF_OK;
        if (q.state == 0)
            rc = hf__log_request_answer(m->log, q.number, rc);
    }
    return rc;
}

static int do_word(struct maker *m, const char *word)
{
    if (strcmp(word, "finished") == 0)
        return do_finished(m);
    if (strcmp(word, "back-in-time") == 0)
        return hf__log_set_back_in_time(m->log);
    if (strcmp(word, "live") == 0 || strcmp(word, "deaf") == 0)
        return live(m, word[0] == 'd');
    if (strcmp(word, "close") == 0) {
        hf__log_close(m->log, true);
        m->log = NULL;
        return HF_OK;
    }
    return do_transaction(m, word);
}

int main(int argc, char **argv)
{
    struct maker m;
    int rc;

    if (argc < 2) {
        (void)fprintf(stderr, "usage: make_node DIR WORD...\n");
        return 2;
    }
    rc = make_open(&m, argv[1]);
    for (int i = 2; rc == HF_OK && m.log != NULL && i < argc; i++) {
        rc = do_word(&m, argv[i]);
        if (rc != HF_OK)
            (void)fprintf(stderr, "make_node: %s: ", argv[i]);
    }
    if (rc != HF_OK)
        (void)fprintf(stderr, "make_node: %s: %s\n", hf_strerror(rc), hf_error_last()->text);
    (void)fflush(stdout);
    _exit(rc == HF_OK ? 0 : 1); /* dies as a killed process does: nothing is closed */
}
