/*
 * tools/txctl/main.c - the table of verbs, and the command line that it defines.
 *
 * One row per verb and one per option: the parser and `txctl help` are made from them, and
 * tests/cli/txctl/man.sh compares the man page with the latter.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "txctl.h"

enum {
    NODE = 1,
    JSON = 2,
    HISTORY = 4,
    REQUESTS = 8,
    REASON = 16,
    WAIT = 32,
    MOVED = 64,
    COPIED = 128,
    YES = 256,
    WAIT_MAX_S = 86400,
};

static int help(const struct call *call);
static int version(const struct call *call);

static const struct verb {
    const char *noun;
    const char *verb;     /* NULL: the noun stands alone */
    const char *argument; /* NULL: it takes none */
    unsigned options;     /* that it takes */
    unsigned wait_s;      /* --wait, if it is not given */
    int (*run)(const struct call *call);
    const char *summary;
} verbs[] = {
    {"status", NULL, NULL, NODE | JSON | REQUESTS, 0, status,
     "who has the node open, and what is owed to which resource manager"},
    {"tx", "list", NULL, NODE | JSON | HISTORY, 0, tx_list, "the transactions in the decision log"},
    {"tx", "show", "XID", NODE | JSON, 0, tx_show,
     "one transaction and its branches; the beginning of XID is enough"},
    {"tx", "why", "XID", NODE | JSON, 0, tx_why,
     "what was done for a transaction, by whom and why, call by call"},
    {"tx", "forget", "XID", NODE | REASON | YES | WAIT, 10, tx_forget,
     "a transaction of which branches decided by themselves is listed no more"},
    {"log", "verify", NULL, NODE | JSON | WAIT, 60, log_verify,
     "check every record of the decision log and of the history"},
    {"log", "adopt", NULL, NODE | REASON | MOVED | COPIED | YES, 0, log_adopt,
     "take a node that was moved or copied as one that lives here"},
    {"recover", NULL, NULL, NODE | REASON | WAIT, 10, recover,
     "ask the processes that have the node open for a recovery pass"},
    {"config", "check", "FILE", JSON, 0, config_check,
     "check a configuration file, and the switches that it names"},
    {"help", NULL, NULL, 0, 0, help, "this text"},
    {"version", NULL, NULL, 0, 0, version, "the versions of holdfast and of LMDB"},
};
enum { VERBS = sizeof(verbs) / sizeof(*verbs) };

static const struct option_row {
    const char *name;
    const char *argument; /* NULL: it takes none */
    unsigned bit;
    const char *summary;
} option_rows[] = {
    {"node", "DIR", NODE, "the node's directory; else the environment's HOLDFAST_NODE. Short: -n"},
    {"json", NULL, JSON, "one JSON document instead of text"},
    {"history", NULL, HISTORY, "finished transactions, too"},
    {"requests", NULL, REQUESTS, "what operators asked for, too"},
    {"reason", "TEXT", REASON, "kept with the request, for whoever reads it later"},
    {"moved", NULL, MOVED, "the original is gone: the node keeps its identity"},
    {"copied", NULL, COPIED, "the original lives: the node gets an identity of its own"},
    {"yes", NULL, YES, "do it, and do not only say what would be done"},
    {"wait", "SECONDS", WAIT, "how long to wait for an answer, 0 to 86400"},
};
enum { OPTIONS = sizeof(option_rows) / sizeof(*option_rows) };

static const char *verb_text(const struct verb *v, char buf[TEXT_SIZE])
{
    (void)snprintf(buf, TEXT_SIZE, "%s%s%s%s%s", v->noun, v->verb != NULL ? " " : "",
                   v->verb != NULL ? v->verb : "", v->argument != NULL ? " " : "",
                   v->argument != NULL ? v->argument : "");
    return buf;
}

static int help(const struct call *call)
{
    char buf[TEXT_SIZE];

    (void)call;
    (void)printf(
        "usage: txctl [OPTION]... VERB\n\nRead a Holdfast node, live or dead.\n\nverbs:\n");
    for (size_t i = 0; i < VERBS; i++)
        (void)printf("  %-17s %s\n", verb_text(&verbs[i], buf), verbs[i].summary);
    (void)printf("\noptions, before or after the verb:\n");
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option_row *o = &option_rows[i];
        int n = printf("  --%s %s", o->name, o->argument != NULL ? o->argument : "");

        (void)printf("%*s %s", n < 19 ? 19 - n : 0, "", o->summary);
        for (size_t v = 0, first = 1; v < VERBS && o->bit != NODE; v++) {
            if (!(verbs[v].options & o->bit))
                continue;
            (void)printf("%s%s%s%s", first ? " [" : ", ", verbs[v].noun,
                         verbs[v].verb != NULL ? " " : "",
                         verbs[v].verb != NULL ? verbs[v].verb : "");
            first = 0;
        }
        (void)printf("%s\n", o->bit != NODE ? "]" : "");
    }
    (void)printf("  --help            what txctl help prints. Short: -h\n");
    (void)printf("\nexit: 0 done, 1 failed, 2 usage, 3 not found, 4 attention needed, 5 refused\n");
    return DONE;
}

static int version(const struct call *call)
{
    (void)call;
    (void)printf("holdfast %s\n%s\n", hf_version(), hf_inspect_lmdb_version());
    return DONE;
}

/* -- parsing ----------------------------------------------------------------------------- */

static int parse_wait(const char *text, unsigned *ret)
{
    char *end;
    unsigned long n;

    errno = 0;
    n = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || n > WAIT_MAX_S) {
        complain("--wait %s: not a number of seconds from 0 to %d", text, WAIT_MAX_S);
        return USAGE;
    }
    *ret = (unsigned)n;
    return DONE;
}

static int set_option(struct call *call, unsigned bit, const char *value)
{
    switch (bit) {
    case NODE:
        call->node = value;
        return DONE;
    case JSON:
        call->json = true;
        return DONE;
    case HISTORY:
        call->history = true;
        return DONE;
    case REQUESTS:
        call->requests = true;
        return DONE;
    case REASON:
        call->reason = value;
        return DONE;
    case MOVED:
        call->moved = true;
        return DONE;
    case COPIED:
        call->copied = true;
        return DONE;
    case YES:
        call->yes = true;
        return DONE;
    default:
        return parse_wait(value, &call->wait_s);
    }
}

/* Options may stand anywhere; what is left is at argv[optind]. */
static int parse_options(int argc, char **argv, struct call *call, unsigned *ret_given)
{
    struct option longs[OPTIONS + 2] = {{"help", no_argument, NULL, 'h'}};
    int c, rc = DONE;

    for (size_t i = 0; i < OPTIONS; i++)
        longs[i + 1] = (struct option){
            option_rows[i].name, option_rows[i].argument != NULL ? required_argument : no_argument,
            NULL, (int)(1000 + option_rows[i].bit)};
    opterr = 0;
    while (rc == DONE && (c = getopt_long(argc, argv, ":hn:", longs, NULL)) != -1) {
        unsigned bit = c == 'n' ? NODE : c >= 1000 ? (unsigned)c - 1000 : 0;

        if (c == '?' || c == ':') {
            complain("%s: %s; see txctl help", argv[optind - 1],
                     c == '?' ? "not an option, or it takes no value" : "a value is missing");
            return USAGE;
        }
        if (c == 'h')
            exit(help(call));
        *ret_given |= bit;
        rc = set_option(call, bit, optarg);
    }
    return rc;
}

/* The row that the words begin with, and how many of them it takes. */
static const struct verb *find_verb(int words, char **word, int *ret_used)
{
    for (size_t i = 0; i < VERBS; i++) {
        const struct verb *v = &verbs[i];

        if (words < (v->verb != NULL ? 2 : 1) || strcmp(word[0], v->noun) != 0)
            continue;
        if (v->verb != NULL && strcmp(word[1], v->verb) != 0)
            continue;
        *ret_used = v->verb != NULL ? 2 : 1;
        return v;
    }
    return NULL;
}

static int check_call(const struct verb *v, int words, char **word, unsigned given,
                      struct call *call)
{
    char buf[TEXT_SIZE];
    const char *text = verb_text(v, buf);

    for (size_t i = 0; i < OPTIONS; i++)
        if (given & option_rows[i].bit & ~v->options) {
            complain("%s: takes no --%s", text, option_rows[i].name);
            return USAGE;
        }
    if (words != (v->argument != NULL ? 1 : 0)) {
        complain("%s: %s", text, words == 0 ? "its argument is missing" : "too many arguments");
        return USAGE;
    }
    call->xid = call->file = words > 0 ? word[0] : NULL;
    if (call->node == NULL || call->node[0] == '\0')
        call->node = given & NODE ? NULL : getenv("HOLDFAST_NODE");
    if (v->options & NODE && (call->node == NULL || call->node[0] == '\0')) {
        complain("%s: no node: give --node DIR, or set HOLDFAST_NODE", text);
        return USAGE;
    }
    if (!(given & WAIT))
        call->wait_s = v->wait_s;
    return DONE;
}

int main(int argc, char **argv)
{
    struct call call = {0};
    const struct verb *v;
    unsigned given = 0;
    int used = 0, rc = parse_options(argc, argv, &call, &given);

    if (rc != DONE)
        return rc;
    v = find_verb(argc - optind, argv + optind, &used);
    if (v == NULL) {
        complain("%s%s: not a verb; see txctl help", optind < argc ? argv[optind] : "nothing",
                 optind < argc ? "" : " to do");
        return USAGE;
    }
    rc = check_call(v, argc - optind - used, argv + optind + used, given, &call);
    if (rc == DONE)
        rc = v->run(&call);
    else
        return rc;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        complain("cannot write to the standard output: %s", strerror(errno));
        return FAILED;
    }
    return rc;
}
