/*
 * tools/txctl/log.c - txctl log verify and txctl log adopt.
 *
 * verify checks every record, in a child process.
 * LMDB trusts its file. On a damaged one it may follow a page number out of the map, find a loop,
 * or abort; so a child looks, and what becomes of the child is part of the answer:
 *
 *     child                      answer
 *     sends a verdict            what it says
 *     dies without one           damaged
 *     is silent for --wait       damaged, or too slow to tell; the child is killed
 *
 * The node is opened by the child only; the parent never touches it.
 *
 * adopt shows the node and what differs first, and writes only with --yes. It holds nothing in
 * between: the library refuses if somebody opened the node meanwhile.
 *
 * Threads: one.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "txctl.h"

/* Sent through a pipe, whole: it is smaller than PIPE_BUF. */
struct verdict {
    int code; /* of hf_inspect_verify(), or of opening */
    char text[256];
    uint64_t records; /* in the decision log */
    uint64_t transactions;
    uint64_t finished; /* in the history */
    uint64_t left;     /* in the decision log, too: to the original of this copy */
};

static int count_one(void *user, const hf_inspect_tx *tx)
{
    uint64_t *n = user;

    (void)tx;
    ++*n;
    return 0;
}

static int count_history(void *user, const hf_inspect_tx *tx)
{
    struct verdict *v = user;

    if (tx->left)
        v->left++;
    else
        v->finished++;
    return 0;
}

static int check(const char *dir, struct verdict *v)
{
    hf_inspect_node node = {.size = sizeof(node)};
    hf_inspect *in = NULL;
    int rc = hf_inspect_open(dir, &in);

    if (rc == HF_OK)
        rc = hf_inspect_verify(in);
    if (rc == HF_OK)
        rc = hf_inspect_get_node(in, &node);
    if (rc == HF_OK)
        rc = hf_inspect_transactions(in, count_one, &v->transactions);
    if (rc == HF_OK)
        rc = hf_inspect_history(in, count_history, v);
    v->records = node.records;
    if (rc != HF_OK)
        (void)snprintf(v->text, sizeof(v->text), "%s", hf_error_last()->text);
    hf_inspect_close(in);
    return rc;
}

static _Noreturn void child(const char *dir, int to)
{
    const struct rlimit none = {0, 0};
    struct verdict v = {0};
    ssize_t n;

    (void)setrlimit(RLIMIT_CORE, &none); /* a crash here is an answer, not a defect to look into */
    v.code = check(dir, &v);
    n = write(to, &v, sizeof(v));
    _exit(n == (ssize_t)sizeof(v) ? 0 : 1);
}

/* What the child says; HF_EDAMAGED with a text of ours if it says nothing. */
static void hear(pid_t pid, int from, unsigned wait_s, struct verdict *ret)
{
    struct pollfd poll_fd = {.fd = from, .events = POLLIN};
    int status = 0, ready;
    ssize_t n = 0;

    do
        ready = poll(&poll_fd, 1, (int)wait_s * 1000);
    while (ready < 0 && errno == EINTR);
    if (ready > 0)
        n = read(from, ret, sizeof(*ret));
    if (ready == 0)
        (void)kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (n == (ssize_t)sizeof(*ret))
        return;
    *ret = (struct verdict){.code = HF_EDAMAGED};
    if (ready == 0)
        (void)snprintf(ret->text, sizeof(ret->text), "reading it did not end within %u s", wait_s);
    else if (WIFSIGNALED(status))
        (void)snprintf(ret->text, sizeof(ret->text), "reading it crashed: %s",
                       strsignal(WTERMSIG(status)));
    else
        (void)snprintf(ret->text, sizeof(ret->text), "reading it ended without an answer");
}

static int verify_in_child(const struct call *call, struct verdict *ret)
{
    int fd[2];
    pid_t pid;

    if (pipe(fd) != 0) {
        complain("log verify: cannot make a pipe: %s", strerror(errno));
        return FAILED;
    }
    (void)fflush(NULL); /* so that the child has nothing of ours to write */
    pid = fork();
    if (pid == 0) {
        (void)close(fd[0]);
        child(call->node, fd[1]);
    }
    (void)close(fd[1]);
    if (pid < 0)
        complain("log verify: cannot start a process: %s", strerror(errno));
    else
        hear(pid, fd[0], call->wait_s, ret);
    (void)close(fd[0]);
    return pid < 0 ? FAILED : DONE;
}

static void print_json(const struct call *call, const struct verdict *v)
{
    json_t *d = json_document();

    json_put(d, "node", json_text(call->node));
    json_put(d, "good", json_boolean(v->code == HF_OK));
    json_put(d, "error", v->code == HF_OK ? json_null() : json_text(hf_strerror_name(v->code)));
    json_put(d, "text", json_text(v->text));
    json_put(d, "records", json_count(v->records));
    json_put(d, "transactions", json_count(v->transactions));
    json_put(d, "finished", json_count(v->finished));
    json_put(d, "left", json_count(v->left));
    json_print(d);
}

static void print_good(const struct verdict *v)
{
    (void)printf("good: %" PRIu64 " records in the decision log, %" PRIu64 " of them transactions",
                 v->records, v->transactions);
    if (v->left > 0)
        (void)printf(" and %" PRIu64 " left to the original of this copy", v->left);
    (void)printf("; %" PRIu64 " finished transactions in the history\n", v->finished);
}

int log_verify(const struct call *call)
{
    struct verdict v = {0};
    int code = verify_in_child(call, &v);

    if (code != DONE)
        return code;
    if (call->json && (v.code == HF_OK || v.code == HF_EDAMAGED))
        print_json(call, &v);
    else if (v.code == HF_OK)
        print_good(&v);
    if (v.code == HF_EDAMAGED)
        complain("log verify: %s: damaged: %s", call->node, v.text);
    else if (v.code != HF_OK)
        complain("log verify: cannot read the node %s: %s (%s)", call->node, v.text,
                 hf_strerror_name(v.code));
    return exit_of(v.code);
}

/* -- adopt ------------------------------------------------------------------------------- */

static void say_intent(const struct call *call, const hf_inspect_node *n, uint64_t unfinished)
{
    (void)printf("node          %s\n", call->node);
    (void)printf("identity      %s\n", n->identity);
    (void)printf("place         %s\n",
                 n->moved ? n->moved_text : "nothing that can be seen here differs");
    (void)printf("unfinished    %" PRIu64 " transactions in the log\n", unfinished);
    if (call->moved)
        (void)printf("as moved      the identity stays, and this node finishes them; "
                     "the original must be gone\n");
    else
        (void)printf("as copied     a new identity; they are left to the original, "
                     "which must finish them\n");
}

static int adopt(const struct call *call, hf_inspect *in)
{
    hf_inspect_node node = {.size = sizeof(node)};
    uint64_t unfinished = 0;
    int rc = hf_inspect_get_node(in, &node);

    if (rc == HF_OK)
        rc = hf_inspect_transactions(in, count_one, &unfinished);
    if (rc != HF_OK)
        return complain_of(rc, "read the node", call->node);
    say_intent(call, &node, unfinished);
    if (!call->yes) {
        complain("log adopt: nothing was written: say --yes, too");
        return REFUSED;
    }
    rc = hf_inspect_adopt(in, call->moved ? HF_ADOPT_MOVED : HF_ADOPT_COPIED, call->reason);
    if (rc == HF_OK)
        rc = hf_inspect_get_node(in, &node);
    if (rc != HF_OK)
        return complain_of(rc, "adopt the node", call->node);
    (void)printf("done          the identity is %s\n", node.identity);
    return DONE;
}

int log_adopt(const struct call *call)
{
    hf_inspect *in = NULL;
    int code;

    if (call->moved == call->copied) {
        complain("log adopt: say one of --moved (the original is gone) and --copied (it lives)");
        return USAGE;
    }
    code = open_node(call, &in);
    if (code == DONE)
        code = adopt(call, in);
    hf_inspect_close(in);
    return code;
}
