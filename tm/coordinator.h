/*
 * tm/coordinator.h - the commit protocol as a pure state machine.
 *
 * No input or output, no lock, no clock, no allocation. A shell asks hf__coord_next() what to do,
 * does it, and tells the answer; tests/prop/walk.c walks every answer and every crash through this
 * same code.
 *
 *   hf__coord_init; hf__coord_commit | hf__coord_rollback | hf__coord_settle
 *   while ((act = hf__coord_next(c)).kind != HF__ACT_DONE) { perform; hf__coord_answer | _logged |
 *   _probed | _detached }
 *
 * A branch that is `async` may be asked for its vote, and told to commit, while others have not
 * answered yet: after such an action the shell may ask for the next one at once. HF__ACT_WAIT says
 * that there is none before an answer came. Answers come in any order. All other actions go one at
 * a time: the shell tells the answer before it asks again, and meanwhile may take the answers of
 * those that are under way.
 *
 *   voting      all async branches at once, whatever their rank; then the others one after the
 *               other. At the first no nobody else is asked; what is under way is still heard.
 *   committing  rank by rank, lowest first, each when the one before it has answered; in a rank
 *               the async branches at once, then the others one after the other.
 *
 * Invariants (numbers of ARCHITECTURE.md)
 *   1  HF__ACT_COMMIT comes only after hf__coord_logged(HF__LOGGED) of HF__ACT_FORCE, or from
 *      settling.
 *   5  Branches that end differently lead to HF__ACT_RECORD before HF__ACT_FORGET and before
 *      HF__ACT_DONE.
 *   6  HF__ACT_RELEASE comes only after an acknowledgement or a proof for every branch that voted
 *      yes.
 *   8  After HF__LOG_UNKNOWN of HF__ACT_FORCE no branch is told anything, and the outcome is
 *      HF_UNKNOWN.
 *
 * Spec: [XA] 2.3, 3.4, 7.3; decision tables in ARCHITECTURE.md.
 */
#ifndef HF_TM_COORDINATOR_H
#define HF_TM_COORDINATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "holdfast/tm.h"

enum hf__branch_state {
    /* at rest */
    HF__B_ACTIVE,      /* associated: xa_end is due */
    HF__B_IDLE,        /* ended, has not voted */
    HF__B_DOUBTFUL,    /* not to be committed any more: xa_rollback is due */
    HF__B_PREPARED,    /* voted yes */
    HF__B_READONLY,    /* voted read-only: gone */
    HF__B_COMMITTED,   /* acknowledged, or proved */
    HF__B_ROLLEDBACK,  /* rolled back, or never lived to vote */
    HF__B_LEFT,        /* rolling back, lost sight of: recovery's scan finds it if it is prepared */
    HF__B_OWED,        /* has to commit; the last answer was "not now", or nobody answers */
    HF__B_SUSPECT,     /* told to commit, answered with what proves nothing: a probe is due */
    HF__B_HELD,        /* prepared, and denied all the same: a stale session is to be detached */
    HF__B_UNCONFIRMED, /* told to commit, no proof, and no probe can tell */
    HF__B_HEURISTIC,   /* decided by itself: see code; not recorded */
    HF__B_RECORDED,    /* the same, recorded: xa_forget is due */
    HF__B_FORGOTTEN,   /* the same, recorded if it had to be, and forgotten */
    HF__B_UNFORGOTTEN, /* the same, recorded, but xa_forget failed: recovery tries again */
    /* waiting for an answer */
    HF__B_ENDING,
    HF__B_PREPARING,
    HF__B_COMMITTING,
    HF__B_COMMITTING_ONE, /* one-phase */
    HF__B_ROLLING_BACK,
    HF__B_PROBING,
    HF__B_DETACHING,
    HF__B_FORGETTING,
    HF__B_STATE_COUNT
};

/* What is known of a branch's fate, whatever its state. */
enum hf__fate {
    HF__FATE_OPEN, /* follows the decision */
    HF__FATE_COMMITTED,
    HF__FATE_ROLLEDBACK,
    HF__FATE_MIXED,
    HF__FATE_HAZARD
};

/* What recovery knows of a branch listed in a record, before settling. */
enum hf__seen {
    HF__SEEN_NOT_REACHED, /* no complete scan of its resource manager: conclude nothing */
    HF__SEEN_IN_SCAN,
    HF__SEEN_ABSENT /* a complete scan, begun after the fence and the read, does not list it */
};

struct hf__branch {
    int rank;         /* told to commit after all lower ones */
    uint8_t state;    /* enum hf__branch_state */
    uint8_t fate;     /* enum hf__fate */
    uint8_t seen;     /* enum hf__seen; settling only */
    bool async;       /* xa_prepare and xa_commit need not wait for others' answers */
    bool can_probe;   /* its resource manager offers a probe */
    bool can_detach;  /* its resource manager can get rid of a stale session; recovery only */
    bool detached;    /* it was asked to: once in a pass */
    bool denied;      /* the last answer said that it is not there, or held; recovery only */
    bool tried;       /* xa_commit was sent since it was last known to be prepared */
    bool heuristic;   /* damage: ended otherwise than decided; stays in the record */
    bool unconfirmed; /* the record says already that it is unconfirmed */
    int16_t code;     /* last answer of the resource manager */
};

enum hf__coord_phase {
    HF__P_OPEN,
    HF__P_ENDING,
    HF__P_VOTING,
    HF__P_FORCING, /* the decision record is being forced */
    HF__P_COMMITTING,
    HF__P_COMMITTING_ONE,
    HF__P_ROLLING_BACK,
    HF__P_PROBING,
    HF__P_DETACHING, /* stale sessions that hold branches are got rid of */
    HF__P_RECORDING, /* the record with what branches did by themselves is being forced */
    HF__P_FORGETTING,
    HF__P_RELEASING,
    HF__P_DONE,
    HF__P_COUNT
};

enum hf__decision { HF__UNDECIDED, HF__COMMIT, HF__ROLLBACK, HF__DECISION_UNKNOWN };

struct hf__coord {
    struct hf__branch *branches; /* the shell's; count of them */
    unsigned count;
    unsigned cursor;    /* the branch that the phase has come to */
    unsigned asyncs;    /* branches that are async */
    unsigned under_way; /* branches whose asynchronous call is with the shell */
    int rank;           /* committing: the one whose turn it is */
    uint8_t phase;      /* enum hf__coord_phase */
    uint8_t decision;   /* enum hf__decision */
    bool one_by_one;    /* the phase has come to the branches that are not async */
    bool waiting;       /* an action that is not asynchronous is with the shell */
    bool spoilt;        /* cannot commit any more */
    bool recorded;      /* a record of this transaction is in the log */
    bool changed;       /* branches' states differ from what the record says */
    bool record_failed; /* RECORD was refused: forget nothing that it had to tell */
};

enum hf__act_kind {
    HF__ACT_END,        /* xa_end; TMSUCCESS, or TMFAIL if c->spoilt */
    HF__ACT_PREPARE,    /* xa_prepare */
    HF__ACT_FORCE,      /* force the decision to commit, listing the branches in HF__B_PREPARED */
    HF__ACT_COMMIT,     /* xa_commit */
    HF__ACT_COMMIT_ONE, /* xa_commit(TMONEPHASE) */
    HF__ACT_ROLLBACK,   /* xa_rollback */
    HF__ACT_PROBE,      /* ask what became of the branch */
    HF__ACT_DETACH,     /* get rid of a stale session that holds the branch */
    HF__ACT_RECORD,     /* force the record again, with every branch's state */
    HF__ACT_FORGET,     /* xa_forget */
    HF__ACT_RELEASE,    /* remove the record, some time: needs no answer */
    HF__ACT_DONE,
    HF__ACT_WAIT /* nothing before one of those under way has answered */
};

struct hf__act {
    enum hf__act_kind kind;
    unsigned branch; /* END to DETACH, FORGET */
};

enum hf__logged {
    HF__LOGGED,      /* durable */
    HF__LOG_REFUSED, /* nothing was written, and nothing ever will be */
    HF__LOG_UNKNOWN  /* it may or may not be on disk */
};

/* branches: count of them, HF__B_ACTIVE or HF__B_IDLE, everything else zero but rank, async and
   can_probe; recovery also sets seen and can_detach of one that it rolls back. */
void hf__coord_init(struct hf__coord *c, struct hf__branch *branches, unsigned count);

/* Ask for one of the three, once. */
void hf__coord_commit(struct hf__coord *c, bool rollback_only);
void hf__coord_rollback(struct hf__coord *c);
/*
 * Recovery: a record says that branches are HF__B_OWED, HF__B_UNCONFIRMED, HF__B_COMMITTED or
 * HF__B_UNFORGOTTEN (a heuristic, its fate and heuristic flag set); `seen` is filled in. decision
 * is HF__COMMIT, or HF__ROLLBACK for a record that only tells of heuristics.
 */
void hf__coord_settle(struct hf__coord *c, enum hf__decision decision);

/* What the answer to an xa_end outside of completion leaves of a branch: HF__B_IDLE if it can
   commit. */
void hf__coord_ended(struct hf__branch *b, int xa_code);

/* The next thing to do. Must not be called again before its answer came, but after RELEASE, which
   has none, PREPARE or COMMIT of an async branch, and WAIT. */
struct hf__act hf__coord_next(struct hf__coord *c);

void hf__coord_answer(struct hf__coord *c, unsigned branch,
                      int xa_code); /* END to ROLLBACK, FORGET */
void hf__coord_probed(struct hf__coord *c, unsigned branch, enum hf_probe answer);
/* gone: no stale session holds the branch any more. */
void hf__coord_detached(struct hf__coord *c, unsigned branch, bool gone);
void hf__coord_logged(struct hf__coord *c, enum hf__logged result); /* FORCE, RECORD */

/* After HF__ACT_DONE. */
hf_outcome hf__coord_outcome(const struct hf__coord *c);
unsigned hf__coord_owed(const struct hf__coord *c);        /* what recovery must still end */
unsigned hf__coord_unconfirmed(const struct hf__coord *c); /* UNCONFIRMED */

/* -- recovery's view of one XID that a scan listed -------------------------------------------- */

enum hf__verdict {
    HF__FOREIGN,     /* not ours to touch */
    HF__LEAVE,       /* its owner lives, runs it, or does not know its outcome yet */
    HF__SETTLE,      /* a record lists the branch: settling deals with it */
    HF__ROLL_BACK,   /* presumed abort */
    HF__UNLISTED,    /* alarm: a decision exists and does not list it; left alone */
    HF__BACK_IN_TIME /* alarm: the log is older than the branch; left alone */
};

struct hf__sighting {
    bool our_node;        /* our formatID, lengths and node identity */
    bool our_rm;          /* the resource manager id of the scanned one */
    bool own_incarnation; /* begun by this very opening */
    bool running;         /* own_incarnation: still active here */
    bool above_highest;   /* its incarnation was never given out by this log */
    bool fenced;          /* its incarnation was fenced or closed before the scan began */
    bool no_rollback;     /* the log went back in time once: no automatic rollback any more */
    bool record;          /* a record of its gtrid was found, in a snapshot newer than the fence */
    bool record_commits;  /* and it is a decision to commit */
    bool record_lists;    /* and it lists this branch */
};

enum hf__verdict hf__classify(const struct hf__sighting *s);

#endif
