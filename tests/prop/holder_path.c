/*
 * What: an allocation and a free of a resource that is enlisted already allocate nothing and make
 *       no system call; how many instructions they are, under callgrind.
 * How:  malloc(), calloc() and realloc() of this program stand before libc's, as in hot_path.c, and
 *       are checked to count first. Then a child under seccomp's strict mode does the same work:
 *       the kernel kills it at any call but write and exit; one that makes a call on purpose has to
 *       be killed. `holder_path --pairs N [xa]` just works, in measured_pairs(), to be counted.
 */
#include <linux/seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "holdfast/holder.h"
#include "support/quiet.h"

enum { WARM_UP = 100, COUNTED = 2000 };

/* -- a driver that says yes ------------------------------------------------------------------- */

static int make(void *user, hf_restype type, hf_resid *ret_id, int32_t *ret_idle_s)
{
    (void)type, (void)ret_idle_s;
    *ret_id = ++*(hf_resid *)user;
    return HF_OK;
}

static int rate(void *user, hf_restype type, hf_resid id, int needs_enlist, uint32_t *ret_rating)
{
    (void)user, (void)type, (void)id;
    *ret_rating = needs_enlist ? 50 : HF_RATING_PERFECT;
    return HF_OK;
}

static int enlist(void *user, hf_resid id, hf_tx *tx)
{
    (void)user, (void)id, (void)tx;
    return HF_OK;
}

static int clean(void *user, hf_resid id)
{
    (void)user, (void)id;
    return HF_OK;
}

/* -- the work ---------------------------------------------------------------------------------- */

struct rig {
    char dir[32];
    hf_tm *tm;
    hf_rm *rm;
    hf_manager *manager;
    hf_holder *holder;
    hf_restype type;
    hf_resid ids;
    hf_tx *tx;
};

static void must(int rc, const char *what)
{
    if (rc == HF_OK)
        return;
    fprintf(stderr, "holder_path: %s: %s: %s\n", what, hf_strerror(rc), hf_error_last()->text);
    exit(1);
}

static void open_holder(struct rig *r, bool xa)
{
    const hf_driver driver = {.size = sizeof(driver),
                              .create = make,
                              .rate = rate,
                              .enlist = enlist,
                              .reset = clean,
                              .destroy = clean};

    r->type = xa ? hf_xa_type(r->rm) : 1;
    if (xa)
        must(hf_holder_open_xa(r->manager, NULL, NULL, &r->holder), "open a holder");
    else
        must(hf_holder_open(r->manager, &driver, &r->ids, NULL, &r->holder), "open a holder");
}

static void rig_open(struct rig *r, bool xa)
{
    hf_tm_config config = HF_TM_CONFIG_INIT;
    hf_rm_config rm_config = HF_RM_CONFIG_INIT;
    hf_manager_config manager = HF_MANAGER_CONFIG_INIT;
    hf_resid id;

    *r = (struct rig){.dir = "/tmp/holdfast-path-XXXXXX"};
    if (mkdtemp(r->dir) == NULL)
        exit(1);
    config.dir = r->dir;
    must(hf_tm_open(&config, &r->tm), "open");
    rm_config.name = "yes";
    rm_config.xa = &quiet_switch;
    must(hf_rm_register(r->tm, &rm_config, &r->rm), "register");
    must(hf_tm_start(r->tm, 0), "start");
    manager.tm = r->tm;
    must(hf_manager_open(&manager, &r->manager), "open a manager");
    open_holder(r, xa);
    must(hf_tx_begin(r->tm, 0, &r->tx), "begin");
    must(hf_holder_alloc(r->holder, r->type, &id), "allocate");
    must(hf_holder_free(r->holder, id), "free");
}

static void rig_close(struct rig *r)
{
    char command[64];

    must(hf_tx_rollback(r->tx, NULL), "roll back");
    must(hf_manager_close(r->manager, 0, NULL), "close a manager");
    must(hf_tm_close(r->tm, 0, NULL), "close");
    (void)snprintf(command, sizeof(command), "rm -rf %s", r->dir);
    if (system(command) != 0)
        exit(1);
}

/* By itself, so that callgrind can be told to count in it alone. The first failure, or HF_OK. */
__attribute__((noinline)) int measured_pairs(struct rig *r, unsigned pairs);
__attribute__((noinline)) int measured_pairs(struct rig *r, unsigned pairs)
{
    int rc = HF_OK;

    for (unsigned i = 0; i < pairs && rc == HF_OK; i++) {
        hf_resid id;

        rc = hf_holder_alloc(r->holder, r->type, &id);
        if (rc == HF_OK)
            rc = hf_holder_free(r->holder, id);
    }
    return rc;
}

/* -- without system calls ---------------------------------------------------------------------- */

/* How a child ends that works under strict seccomp; `spoil` makes it make a call. */
static int child_under_seccomp(struct rig *r, bool spoil)
{
    pid_t pid;
    int status;

    fflush(NULL);
    pid = (pid_t)syscall(SYS_fork); /* not fork(): the child stands in for the parent, whose handles
                                       it would have to refuse */
    if (pid == 0) {
        int rc;

        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
            syscall(SYS_exit, 77);
        if (spoil)
            syscall(SYS_getppid);
        rc = measured_pairs(r, COUNTED);
        syscall(SYS_exit, rc == HF_OK ? 0 : 1);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        exit(1);
    return status;
}

static int check(bool xa)
{
    struct rig r;
    unsigned counted;
    int honest, spoilt;

    rig_open(&r, xa);
    if (atomic_load(&quiet_ours) == 0) {
        fprintf(stderr, "holder_path: opening was not seen to allocate: the counter is blind\n");
        return 1;
    }
    must(measured_pairs(&r, WARM_UP), "warm up");
    atomic_store(&quiet_ours, 0);
    must(measured_pairs(&r, COUNTED), "work");
    counted = atomic_load(&quiet_ours);
    honest = child_under_seccomp(&r, false);
    spoilt = child_under_seccomp(&r, true);
    rig_close(&r);
    if (WIFEXITED(honest) && WEXITSTATUS(honest) == 77) {
        fprintf(stderr, "holder_path: this kernel has no strict seccomp\n");
        return 1;
    }
    printf("holder_path: %s: %u allocations of ours in %d pairs; %s\n", xa ? "instances" : "toys",
           counted, COUNTED,
           WIFEXITED(honest) && WEXITSTATUS(honest) == 0 ? "no system call" : "A SYSTEM CALL");
    if (!WIFSIGNALED(spoilt) || WTERMSIG(spoilt) != SIGKILL) {
        fprintf(stderr, "holder_path: a system call was not noticed\n");
        return 1;
    }
    return counted == 0 && WIFEXITED(honest) && WEXITSTATUS(honest) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "--pairs") == 0) {
        struct rig r;

        rig_open(&r, argc > 3);
        must(measured_pairs(&r, (unsigned)strtoul(argv[2], NULL, 10)), "work");
        rig_close(&r);
        return 0;
    }
    return check(false) | check(true);
}
