/*
 * What: eight threads of conflicting transactions over two kv stores are serializable, and stay so
 *       when the process is killed: nothing that was acknowledged is lost, nothing is half done,
 *       and what recovery has not decided yet is not read or written by others.
 * How:  kv_model.h. Without --kills one process works for a while, and is judged. With --kills N a
 *       child works until it is killed at a random moment, N times; after each kill an intruder
 *       goes at the keys of the transactions in doubt, then this process recovers, and judges
 *       everything that was ever committed.
 *       `crash_kv_model [--seed S] [--seconds S] [--kills N] [--plant BUG]`
 */
#include <poll.h>
#include <signal.h>

#include "holdfast/internal/fault.h"
#include "kv_model.h"

enum { ACKS_MAX = 1 << 18, PASSES_MAX = 400 };

static struct {
    unsigned seed;
    double seconds;
    unsigned kills;
    const char *plant;
    char dir[64];
    char self[512];
} run = {.seconds = 5};

static struct row_id acks[ACKS_MAX];
static size_t ack_count;

static hf_tm *open_node(hf_rm *rm[STORES], const char *dir)
{
    hf_tm *tm = kit_open(dir, "kv_model");

    for (int i = 0; i < STORES; i++) {
        hf_rm_config cfg = HF_RM_CONFIG_INIT;
        char info[256], name[2] = {(char)('a' + i), '\0'};

        (void)snprintf(info, sizeof(info), "dir=%s/%s;wait_ms=600000", dir, name);
        cfg.name = name;
        cfg.xa = &hf_kv_switch;
        cfg.ext = &hf_kv_ext;
        cfg.open_info = info;
        OK(hf_rm_register(tm, &cfg, &rm[i]));
    }
    OK(hf_tm_start(tm, 0));
    return tm;
}

/* -- without kills ----------------------------------------------------------------------------- */

static void run_once(void)
{
    struct crew crew = {.seed = run.seed, .first_ticket = 1, .ack_fd = -1, .seconds = run.seconds};
    struct crew_counts counts;
    struct verdict verdict;

    crew.tm = open_node(crew.rm, run.dir);
    crew_run(&crew, &counts);
    judge(crew.rm, NULL, 0, &verdict);
    OK(hf_tm_close(crew.tm, 5000, NULL));
    CHECK(verdict.rows == counts.committed, "%u rows, %lu committed", verdict.rows,
          counts.committed);
    CHECK(counts.timeouts == 0, "%lu waited for ten minutes", counts.timeouts);
    CHECK(counts.deadlocks > 0 && counts.committed > 100, "they were not in each other's way");
    printf("crash_kv_model: ok: %lu transactions serializable, %lu rolled back, %lu deadlocks\n",
           counts.committed, counts.rolledback, counts.deadlocks);
    printf("rig: %lu transactions against a model, 0 violations\n", counts.committed);
}

/* -- with kills -------------------------------------------------------------------------------- */

/* The child: DIR LIFE SEED TICKET; acknowledgements go to stdout. */
static void work_until_killed(char **argv)
{
    struct crew crew = {.life = (unsigned)atoi(argv[1]),
                        .seed = (unsigned)strtoul(argv[2], NULL, 10),
                        .first_ticket = strtoull(argv[3], NULL, 10),
                        .ack_fd = STDOUT_FILENO};
    struct crew_counts counts;

    crew.tm = open_node(crew.rm, argv[0]);
    crew_run(&crew, &counts);
}

static pid_t start_child(unsigned life, uint64_t ticket, int *ret_fd)
{
    char life_text[16], seed_text[16], ticket_text[32];
    int fds[2];
    pid_t pid;

    (void)snprintf(life_text, sizeof(life_text), "%u", life);
    (void)snprintf(seed_text, sizeof(seed_text), "%u", run.seed + life);
    (void)snprintf(ticket_text, sizeof(ticket_text), "%llu", (unsigned long long)ticket);
    CHECK(pipe(fds) == 0, "pipe");
    pid = fork();
    if (pid == 0) {
        (void)dup2(fds[1], STDOUT_FILENO);
        (void)close(fds[0]);
        (void)close(fds[1]);
        execl(run.self, run.self, "--work", run.dir, life_text, seed_text, ticket_text,
              (char *)NULL);
        _exit(127);
    }
    CHECK(pid > 0, "fork");
    (void)close(fds[1]);
    *ret_fd = fds[0];
    return pid;
}

/* Read one acknowledgement; 0 at the end, or when nothing comes in time. */
static int read_ack(int fd, int wait_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    if (poll(&p, 1, wait_ms) != 1)
        return 0;
    CHECK(ack_count < ACKS_MAX, "too many acknowledgements");
    if (read(fd, &acks[ack_count], sizeof(acks[0])) != sizeof(acks[0]))
        return 0;
    ack_count++;
    return 1;
}

static void work_and_kill(unsigned life, uint64_t ticket)
{
    size_t until = ack_count + 1 + (unsigned)rand_r(&run.seed) % 100;
    pid_t pid;
    int fd;

    pid = start_child(life, ticket, &fd);
    while (ack_count < until)
        CHECK(read_ack(fd, 60000), "life %u: the child does nothing", life);
    CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid, "kill");
    while (read_ack(fd, -1))
        continue; /* what it had told: until the pipe's end */
    (void)close(fd);
}

static void recover(hf_tm *tm, hf_tm_stats *ret)
{
    ret->size = sizeof(*ret);
    for (int i = 0;; i++) {
        CHECK(i < PASSES_MAX, "not recovered after %d passes", i);
        OK(hf_tm_recover(tm, NULL));
        OK(hf_tm_get_stats(tm, ret));
        if (ret->owed == 0)
            break;
    }
    CHECK(ret->alarms == 0, "%llu alarms", (unsigned long long)ret->alarms);
}

static void run_with_kills(void)
{
    unsigned long committed = 0, rolledback = 0, refused = 0;
    struct verdict verdict = {0};

    for (unsigned life = 1; life <= run.kills; life++) {
        hf_rm *rm[STORES];
        hf_tm_stats stats;
        hf_tm *tm;

        /* Tickets of a life are above all that came before, of those in doubt, too. */
        work_and_kill(life, (uint64_t)life << 32);
        if (rand_r(&run.seed) % 4 != 0)
            refused += intrude(run.dir, life, (unsigned)rand_r(&run.seed),
                               (uint64_t)life << 32 | 1U << 31);
        tm = open_node(rm, run.dir);
        recover(tm, &stats);
        committed += stats.recovered_committed;
        rolledback += stats.recovered_rolledback;
        judge(rm, acks, ack_count, &verdict);
        OK(hf_tm_close(tm, 5000, NULL));
    }
    CHECK(committed > 0 && rolledback > 0, "no kill hit a transaction");
    CHECK(refused > 0, "no intruder met a transaction in doubt");
    printf("crash_kv_model: ok: %u kills, %u transactions serializable, %zu acknowledged and none "
           "lost, %lu committed and %lu rolled back by recovery, %lu intruders refused\n",
           run.kills, verdict.rows, ack_count, committed, rolledback, refused);
    printf("rig: %u kills against a model, 0 violations\n", run.kills);
}

/* A planted bug has to be caught: then nobody needs what is left. */
static void tidy_up(void)
{
    kit_remove(run.dir);
}

static void read_options(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0)
            run.seed = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0)
            run.seconds = atof(argv[i + 1]);
        else if (strcmp(argv[i], "--kills") == 0)
            run.kills = (unsigned)atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--plant") == 0)
            run.plant = argv[i + 1];
    }
}

int main(int argc, char **argv)
{
    ssize_t n = readlink("/proc/self/exe", run.self, sizeof(run.self) - 1);

    CHECK(n > 0, "find myself");
    if (argc == 6 && strcmp(argv[1], "--work") == 0)
        work_until_killed(argv + 2);
    run.seed = (unsigned)time(NULL);
    read_options(argc, argv);
    fprintf(stderr, "crash_kv_model: --seed %u --seconds %.1f --kills %u\n", run.seed, run.seconds,
            run.kills);
#ifdef HF_FAULTS
    hf__bug_plant(run.plant);
#endif
    kit_tmpdir(run.dir);
    if (run.plant != NULL)
        (void)atexit(tidy_up);
    if (run.kills > 0)
        run_with_kills();
    else
        run_once();
    kit_remove(run.dir);
    return 0;
}
