/*
 * What: a transaction that hf_tx_set_rollback_only() said HF_OK of does not commit, however closely
 *       the call comes before the commit.
 * How:  two threads and one word between them, for a while or so many rounds. The commit waits a
 *       little longer after each round in which it came first, and the other after each in which
 *       that did, so that the two stay where they meet.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "crash_kit.h"
#include "regress_rm.h"

enum { ROUNDS_MAX = 1000000, RUNS_S = 2 };

enum word { QUIET, ASKED, ANSWERED, STOP };

static atomic_int word;
static hf_tx *_Atomic current;
static atomic_uint delay_of_spoiling;
static atomic_int answer;

static void spin(unsigned rounds)
{
    for (volatile unsigned i = 0; i < rounds; i++)
        continue;
}

static void *spoil(void *arg)
{
    int seen;

    /* Bound: until STOP. */
    while ((seen = atomic_load(&word)) != STOP) {
        if (seen != ASKED)
            continue;
        spin(atomic_load(&delay_of_spoiling));
        atomic_store(&answer, hf_tx_set_rollback_only(atomic_load(&current)));
        atomic_store(&word, ANSWERED);
    }
    return arg;
}

/* The transaction must not be over while the other thread still speaks of it. */
static int end_when_answered(XID *xid, int rmid, long flags)
{
    (void)xid, (void)rmid, (void)flags;
    while (atomic_load(&word) != ANSWERED)
        continue;
    return XA_OK;
}

/* HF_OK or HF_EROLLEDBACK. */
static int commit_against(hf_tm *tm, hf_instance *instance, int delay)
{
    hf_tx *tx;
    int rc;

    OK(hf_tx_begin(tm, 0, &tx));
    OK(hf_tx_enlist(tx, instance));
    atomic_store(&current, tx);
    atomic_store(&delay_of_spoiling, delay < 0 ? (unsigned)-delay : 0);
    atomic_store(&word, ASKED);
    spin(delay > 0 ? (unsigned)delay : 0);
    rc = hf_tx_commit(tx, NULL);
    CHECK(rc == HF_OK || rc == HF_EROLLEDBACK, "delay %d: %d", delay, rc);
    return rc;
}

int main(void)
{
    struct xa_switch_t xa = regress_switch;
    hf_rm_config config = HF_RM_CONFIG_INIT;
    hf_instance *instance;
    unsigned spoilt = 0, late = 0, round = 0;
    int delay = 0;
    time_t end = time(NULL) + RUNS_S;
    pthread_t thread;
    char dir[64];
    hf_rm *rm;
    hf_tm *tm;

    kit_tmpdir(dir);
    tm = kit_open(dir, "race");
    config.name = "a";
    xa.xa_end_entry = end_when_answered;
    config.xa = &xa;
    OK(hf_rm_register(tm, &config, &rm));
    OK(hf_tm_start(tm, 0));
    OK(hf_instance_open(rm, &instance));
    CHECK(pthread_create(&thread, NULL, spoil, NULL) == 0, "make a thread");
    for (; round < ROUNDS_MAX && time(NULL) < end; round++) {
        int rc = commit_against(tm, instance, delay);

        CHECK(rc == HF_EROLLEDBACK || atomic_load(&answer) != HF_OK,
              "round %u: both were told HF_OK", round);
        spoilt += rc == HF_EROLLEDBACK;
        late += rc == HF_OK;
        delay += rc == HF_OK ? 1 : -1;
    }
    atomic_store(&word, STOP);
    CHECK(pthread_join(thread, NULL) == 0, "join");
    OK(hf_instance_close(instance));
    OK(hf_tm_close(tm, 0, NULL));
    kit_remove(dir);
    printf("%u rounds: %u rolled back, %u too late\n", round, spoilt, late);
    CHECK(spoilt > 0 && late > 0, "there was no race");
    return 0;
}
