/*
 * What: single-bit damage to the decision log and the history: `txctl log verify` notices it, or it
 *       is harmless; and whoever opens such a node is refused, or does what is right.
 * How:  a server is killed with decisions open. Then, one at a time, bits of its files are flipped:
 *       all of LMDB's two meta pages that mean something, and others by lot among those that are in
 *       use. Damage that verify does not notice has to leave every answer that the files give as it
 *       was. Then, with that bit or, every OPEN_EVERY-th time, with one that verify did notice, the
 *       node is opened and recovered: that has to fail, or to end as the application was told.
 *
 *       crash_flips TXCTL [--flips N] [--seed S] [--jobs N] [--only FILE:BIT]
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "holdfast/inspect.h"
#include "holdfast/internal/fault.h"
#include "matrix.h"
#include "rig.h"

enum {
    FILES = 2,
    FILE_MAX = 4 << 20,
    PAGE = 4096,
    META_BYTES = 152, /* of each meta page: header and MDB_meta of LMDB 0.9 on 64 bits */
    SECTOR = 64,      /* what is not all zeros is in use */
    OPEN_EVERY = 8,
    EXIT_REFUSED = 7,
    TEXT_MAX = 1 << 20,
};

static const char *const names[FILES] = {"decisions.mdb", "history.mdb"};

struct tally {
    unsigned flips, noticed, harmless, opened, refused, right, violations;
};

static struct {
    unsigned char bytes[FILES][FILE_MAX];
    size_t size[FILES];
} good;
static char first_dir[DIR_SIZE]; /* the node and the stores as the kill left them */
static char dir[DIR_SIZE];       /* where they are damaged */
static struct shared *shared, told;
static struct tally *tally;
static char *answers, *good_answers; /* shared: what the files answer, as text */
static const char *txctl;

/* -- a node worth damaging -------------------------------------------------------------------- */

static const struct scenario *scenario_named(const char *name)
{
    for (unsigned i = 0; i < hf_scenario_count; i++)
        if (strcmp(hf_scenarios[i].name, name) == 0)
            return &hf_scenarios[i];
    rig_die(name);
}

static int serve(void *user)
{
    struct world w = {.dir = first_dir, .shared = shared};

    if (hf__fault_set(user) != 0)
        return 3;
    scenario_named("reopened")->run(&w);
    return 0;
}

static void make_node(void)
{
    if (!rig_ended_well(rig_process(serve, NULL)))
        rig_die("the server did not end well");
    if (!rig_was_killed(rig_process(serve, (void *)"commit:committed=kill@3")))
        rig_die("the server was not killed");
    told = *shared;
}

static void read_files(void)
{
    for (int i = 0; i < FILES; i++) {
        char path[DIR_SIZE + 32];
        int fd;
        ssize_t n;

        (void)snprintf(path, sizeof(path), "%s/node/%s", first_dir, names[i]);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd >= 0 ? read(fd, good.bytes[i], FILE_MAX) : -1;
        if (n <= 0 || n == FILE_MAX)
            rig_die(path);
        good.size[i] = (size_t)n;
        (void)close(fd);
    }
}

/* One entry of first_dir, to the same place in dir. */
static int copy_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    char to[2 * DIR_SIZE];
    off_t left = st->st_size;
    int in, out;

    if (at->level == 0)
        return 0;
    (void)snprintf(to, sizeof(to), "%s%s", dir, path + strlen(first_dir));
    if (type == FTW_D)
        return mkdir(to, 0700);
    in = open(path, O_RDONLY | O_CLOEXEC);
    out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (in < 0 || out < 0 || ftruncate(out, left) != 0)
        return -1;
    while (left > 0) {
        ssize_t n = sendfile(out, in, NULL, (size_t)left);

        if (n <= 0)
            return -1;
        left -= n;
    }
    return close(in) | close(out);
}

/* A fresh copy of all, with one bit flipped: file and bit. */
static void damage(int file, size_t bit)
{
    char path[DIR_SIZE + 32];
    unsigned char byte = (unsigned char)(good.bytes[file][bit / 8] ^ 1U << bit % 8);
    int fd;

    rig_dir_empty(dir);
    if (nftw(first_dir, copy_one, 16, FTW_PHYS) != 0)
        rig_die(first_dir);
    (void)snprintf(path, sizeof(path), "%s/node/%s", dir, names[file]);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || pwrite(fd, &byte, 1, (off_t)(bit / 8)) != 1)
        rig_die(path);
    (void)close(fd);
}

/* -- what the files answer -------------------------------------------------------------------- */

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *format, ...)
{
    size_t used = strlen(answers);
    va_list args;

    va_start(args, format);
    (void)vsnprintf(answers + used, TEXT_MAX - used, format, args);
    va_end(args);
}

static int say_tx(void *user, const hf_inspect_tx *tx)
{
    char text[HF_XID_TEXT_SIZE];

    (void)hf_xid_format(&tx->xid, text);
    say("%s %s outcome %u open %u by %u:", (const char *)user, text, tx->outcome, tx->open,
        tx->written_by);
    for (unsigned i = 0; i < tx->branch_count; i++)
        say(" %s/%u/%d", tx->branches[i].rm_name, tx->branches[i].state, tx->branches[i].code);
    say(" spans %u\n", tx->span_count);
    return 0;
}

static int say_rm(void *user, const hf_inspect_rm *rm)
{
    (void)user;
    say("rm %u %s owed %llu\n", rm->id, rm->name, (unsigned long long)rm->owed);
    return 0;
}

static int say_incarnation(void *user, const hf_inspect_incarnation *incarnation)
{
    (void)user;
    say("incarnation %u state %u\n", incarnation->number, incarnation->state);
    return 0;
}

static int ask(void *user)
{
    char node[DIR_SIZE + 8];
    hf_inspect *in;
    int rc;

    (void)user;
    (void)snprintf(node, sizeof(node), "%s/node", dir);
    answers[0] = '\0';
    rc = hf_inspect_open(node, &in);
    if (rc != HF_OK)
        return EXIT_REFUSED;
    rc = hf_inspect_transactions(in, say_tx, (void *)"open");
    if (rc == HF_OK)
        rc = hf_inspect_rms(in, say_rm, NULL);
    if (rc == HF_OK)
        rc = hf_inspect_incarnations(in, say_incarnation, NULL);
    if (rc == HF_OK)
        rc = hf_inspect_history(in, say_tx, (void *)"history");
    hf_inspect_close(in);
    return rc == HF_OK ? 0 : EXIT_REFUSED;
}

/* -- one flip --------------------------------------------------------------------------------- */

static bool violated(int file, size_t bit, const char *what)
{
    fprintf(stderr, "crash_flips: VIOLATION: %s\n    --only %s:%zu\n", what, names[file], bit);
    (void)__atomic_fetch_add(&tally->violations, 1, __ATOMIC_RELAXED);
    return true;
}

static void count(unsigned *counter)
{
    (void)__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static int verify(void *user)
{
    char node[DIR_SIZE + 8];
    int null = open("/dev/null", O_RDWR);

    (void)user;
    (void)snprintf(node, sizeof(node), "%s/node", dir);
    (void)dup2(null, STDOUT_FILENO);
    (void)dup2(null, STDERR_FILENO);
    execl(txctl, txctl, "log", "verify", "--node", node, (char *)NULL);
    return 127;
}

/* Recover and judge, unless opening is refused. Of a damaged history nothing is asked. */
static int go_on(void *user)
{
    struct world w = {.dir = dir, .shared = shared, .stores_alone = *(const bool *)user};

    if (world_open(&w) != HF_OK)
        return EXIT_REFUSED;
    world_close(&w);
    return world_recover(&w) != 0 ? EXIT_REFUSED : world_judge(&w);
}

/* Whoever opens it is refused, or right. Being killed by a signal is neither, but no wrong answer:
   LMDB may die of a damaged file, which is why verify works in a process of its own. */
static bool open_it(int file, size_t bit, bool noticed)
{
    int status;

    *shared = told;
    status = rig_process(go_on, &noticed);
    count(&tally->opened);
    if (rig_ended_well(status)) {
        count(&tally->right);
        return false;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_REFUSED) {
        count(&tally->refused);
        return !noticed && violated(file, bit, "refused, and verify had not noticed it");
    }
    if (rig_signal_text(status) != NULL)
        return !noticed && violated(file, bit, rig_signal_text(status));
    return violated(file, bit, shared->complaint);
}

static bool flip(int file, size_t bit, bool open_always)
{
    int status;
    bool noticed;

    count(&tally->flips);
    damage(file, bit);
    status = rig_process(verify, NULL);
    noticed = !rig_ended_well(status);
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 5)
        return violated(file, bit, "txctl log verify itself did not end well");
    if (noticed) {
        count(&tally->noticed);
    } else {
        status = rig_process(ask, NULL);
        if (!rig_ended_well(status) || strcmp(answers, good_answers) != 0)
            return violated(file, bit, "verify says it is good, and it answers otherwise");
        count(&tally->harmless);
    }
    return (open_always || !noticed) && open_it(file, bit, noticed);
}

/* -- which bits ------------------------------------------------------------------------------- */

static unsigned draw(unsigned *seed, unsigned below)
{
    return (unsigned)(((unsigned long)(unsigned)rand_r(seed) << 15 ^ (unsigned)rand_r(seed)) %
                      below);
}

static bool in_use(int file, size_t byte)
{
    const unsigned char *sector = good.bytes[file] + byte / SECTOR * SECTOR;

    for (int i = 0; i < SECTOR; i++)
        if (sector[i] != 0)
            return true;
    return false;
}

/* The i-th flip: first every bit of the meta pages, then by lot. */
static void choose(unsigned i, unsigned seed, int *ret_file, size_t *ret_bit)
{
    unsigned metas = FILES * 2 * META_BYTES * 8;

    if (i < metas) {
        *ret_file = (int)(i / (metas / FILES));
        i %= metas / FILES;
        *ret_bit = (size_t)(i / (META_BYTES * 8)) * PAGE * 8 + i % (META_BYTES * 8);
        return;
    }
    seed += i * 2654435761U;
    do {
        *ret_file = (int)draw(&seed, FILES);
        *ret_bit = (size_t)draw(&seed, (unsigned)good.size[*ret_file]) * 8 + draw(&seed, 8);
    } while (!in_use(*ret_file, *ret_bit / 8));
}

static int work(unsigned job, unsigned jobs, unsigned flips, unsigned seed)
{
    shared = rig_share(sizeof(*shared));
    answers = rig_share(TEXT_MAX);
    rig_dir_make(dir, sizeof(dir));
    for (unsigned i = job; i < flips; i += jobs) {
        size_t bit;
        int file;

        choose(i, seed, &file, &bit);
        (void)flip(file, bit, i / jobs % OPEN_EVERY == 0);
    }
    rig_dir_remove(dir);
    return 0;
}

static int all(unsigned jobs, unsigned flips, unsigned seed)
{
    fprintf(stderr, "crash_flips: --flips %u --seed %u\n", flips, seed);
    for (unsigned job = 0; job < jobs; job++) {
        pid_t pid = fork();

        if (pid < 0)
            rig_die("fork");
        if (pid == 0)
            exit(work(job, jobs, flips, seed));
    }
    for (unsigned job = 0; job < jobs; job++) {
        int status;

        if (wait(&status) < 0 || !rig_ended_well(status))
            (void)violated(0, 0, "a job did not end well");
    }
    printf("crash_flips: %u flips: %u noticed by verify, %u harmless; %u opened: %u refused, %u "
           "right; %u violations\n",
           tally->flips, tally->noticed, tally->harmless, tally->opened, tally->refused,
           tally->right, tally->violations);
    printf("rig: %u flipped bits, %u violations\n", tally->flips, tally->violations);
    printf("%u passed, %u failed\n", tally->flips - tally->violations, tally->violations);
    return tally->violations == 0 && tally->noticed > 0 && tally->harmless > 0 ? 0 : 1;
}

static int only(const char *text)
{
    const char *colon = strchr(text, ':');
    int file = colon != NULL && strncmp(text, names[1], (size_t)(colon - text)) == 0;

    if (colon == NULL)
        return 2;
    if (flip(file, strtoul(colon + 1, NULL, 10), true)) {
        printf("crash_flips: see %s\n", dir);
        return 1;
    }
    printf("crash_flips: %s\n", tally->noticed > 0 ? "noticed" : "harmless");
    return 0;
}

int main(int argc, char **argv)
{
    unsigned flips = 10000, seed = 1, jobs = 2;
    const char *one = NULL;
    int rc;

    for (int i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--flips") == 0)
            flips = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--jobs") == 0)
            jobs = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--only") == 0)
            one = argv[i + 1];
    }
    if (argc < 2 || argc % 2 != 0 || jobs == 0) {
        fprintf(stderr, "usage: crash_flips TXCTL [--flips N] [--seed S] [--jobs N] "
                        "[--only FILE:BIT]\n");
        return 2;
    }
    txctl = argv[1];
    tally = rig_share(sizeof(*tally));
    shared = rig_share(sizeof(*shared));
    good_answers = answers = rig_share(TEXT_MAX);
    rig_dir_make(first_dir, sizeof(first_dir));
    make_node();
    read_files();
    (void)snprintf(dir, sizeof(dir), "%s", first_dir);
    if (!rig_ended_well(rig_process(ask, NULL)) || strstr(answers, "open") == NULL)
        rig_die("the undamaged node does not answer");
    answers = rig_share(TEXT_MAX);
    if (one != NULL)
        rig_dir_make(dir, sizeof(dir));
    rc = one != NULL ? only(one) : all(jobs, flips, seed);
    rig_dir_remove(first_dir);
    return rc;
}
