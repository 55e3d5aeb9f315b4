/*
 * walk.h - what the files of the walk share: the world, its events, and who does what.
 *
 *   walk.c        the search: visited set, stack, cells, the printed path, main
 *   walk_life.c   the model of the shell: deciding, crashing, recovering, and the model log
 *   walk_rm.c     the model resource managers: which truth fits which answer
 *   walk_check.c  the invariants
 *   walk_class.c  classes of codes, and the proof that a class has one meaning
 */
#ifndef WALK_H
#define WALK_H

#include "coordinator.h"
#include "node.h" /* hf__branch_store() and hf__branch_load(): how a record keeps a branch */

enum { BRANCHES_MAX = 3, CODE_COUNT = 28, EVENTS_MAX = 512, WHY_SIZE = 200 };

/* The true state of a branch in its resource manager. */
enum truth {
    T_ALIVE, /* active or idle: has not voted, dies with its session */
    T_LATE,  /* session gone, its prepare still under way: may yet appear */
    T_PREPARED,
    T_COMMITTED,
    T_ROLLEDBACK,
    T_READONLY,
    T_S5_COM, /* heuristic, remembered until xa_forget */
    T_S5_RB,
    T_S5_MIX,
    T_MIXED, /* the same, forgotten */
    T_COUNT
};

/* What this life has been told of a branch, in terms of [XA] Table 6-4. */
enum know {
    K_ACTIVE,   /* S1 */
    K_IDLE,     /* S2 */
    K_DOOMED,   /* S4, or an answer that leaves xa_rollback as the only legal call */
    K_PREPARED, /* S3 */
    K_READONLY, /* S0, voted read-only */
    K_NO,       /* S0, voted no */
    K_GONE,     /* S0, finished */
    K_LOST,     /* R0: no call before the next opening */
    K_SUSPECT,  /* told to commit, and the answer proves nothing: no call but a probe */
    K_HEUR,     /* S5 */
    K_COUNT
};

struct rm {
    uint8_t truth;    /* enum truth */
    uint8_t know;     /* enum know; this life */
    uint8_t known;    /* enum hf__fate, as answers of this life or the record tell it */
    uint16_t sent;    /* bit set of enum hf__act_kind; this life */
    uint8_t probes;   /* this life */
    uint8_t detaches; /* this life */
    bool nota;        /* this life: its last answer was XAER_NOTA or the like */
    bool own_will;    /* ended, or answered, otherwise than it was told to */
    bool yes;         /* voted yes, whatever became of it */
    bool ever_commit; /* xa_commit was sent by some life */
    bool ever_back;   /* xa_rollback was sent by some life */
    bool ever_one;    /* xa_commit(TMONEPHASE) was sent */
    bool can_probe;
    bool can_detach; /* in recovery */
};

/* What the model log has on disk of the one global transaction. */
struct disk {
    bool present;
    bool removing; /* its removal is on its way: a crash may undo or keep it */
    uint8_t decision;
    uint8_t b[BRANCHES_MAX]; /* enum hf_branch_state; 0: not listed */
};

enum stage { ST_COORD, ST_DOWN, ST_SCAN, ST_REST, ST_END };
enum mode { DECIDING, SETTLING, UNDOING, MODE_COUNT };
enum want { WANT_COMMIT, WANT_ROLLBACK_ONLY, WANT_ROLLBACK, WANT_COUNT };
/* The shell may not ask for the next action before act was answered; may ask; has to hear first. */
enum turn { TURN_ANSWER, TURN_ASK, TURN_WAIT };
/* Pass 0 decides, 1 and 2 recover with every answer and crash, 3 and 4 with honest answers. */
enum { PASS_FAIR = 3, PASS_AGAIN = 4 };
enum { NOT_TOLD = 255 };

/* Everything there is. Compared by its bytes: made with memset, copied with memcpy, kept tidy. */
struct world {
    struct hf__coord c; /* branches: NULL while it rests */
    struct hf__branch b[BRANCHES_MAX];
    struct rm rm[BRANCHES_MAX];
    struct disk disk;
    struct disk pending;        /* recovery: the record as this pass read it, before the scans */
    uint8_t map[BRANCHES_MAX];  /* the coordinator's branch -> rm */
    uint8_t scan[BRANCHES_MAX]; /* enum hf__seen */
    uint8_t count;              /* branches of the transaction */
    uint8_t want;               /* enum want */
    uint8_t stage;              /* enum stage */
    uint8_t mode;               /* enum mode */
    uint8_t pass;
    uint8_t act;        /* enum hf__act_kind: what the coordinator waits for */
    uint8_t act_branch; /* the coordinator's number; TURN_ANSWER only */
    uint8_t turn;       /* enum turn */
    uint8_t out;        /* bit set: branches that have not answered act, or the same before it */
    uint8_t judged;     /* recovery: rms whose XIDs were judged */
    uint8_t told;       /* hf_outcome, or NOT_TOLD */
    uint8_t records;    /* RECORDs asked for in this life */
    bool own;           /* the deciding incarnation is alive */
    bool logged;        /* truth: the decision to commit reached the disk */
    bool forced;        /* this life: FORCE was answered LOGGED */
    bool unknown;       /* this life: FORCE was answered UNKNOWN */
    bool record_bad;    /* this life: a RECORD was not answered LOGGED */
    bool log_dead;      /* this life: the log answered UNKNOWN: it never writes again */
    bool coarse;        /* one code of each class, and the deciding life only */
};

enum event_kind {
    EV_BEGIN,  /* the root */
    EV_ASK,    /* for another action, while the last one is under way */
    EV_ANSWER, /* code, truth */
    EV_PROBED, /* code: enum hf_probe */
    EV_DETACHED, /* code: 1 gone, 0 not */
    EV_LOGGED, /* code: enum hf__logged, truth: 1 if it is on disk */
    EV_TOLD,
    EV_CRASH, /* truths: of all; code: bit 0 what was being written is on disk, bit 1 the removal
                 under way is */
    EV_SCAN,  /* code: 1 complete, 0 failed; truth: of the branch */
    EV_NEXT
};

struct event {
    int32_t code;
    uint8_t kind;
    uint8_t truth;
    uint8_t branch; /* the coordinator's number */
    uint8_t truths[BRANCHES_MAX];
};

/* A violation: the first one stays. */
struct violation {
    bool found;
    char why[WHY_SIZE];
};
extern struct violation walk_violation;

/* -- walk.c ------------------------------------------------------------------------------------ */
void walk_violate(const char *invariant, const char *why);
void walk_cell(enum mode mode, enum hf__branch_state state, int code);
void walk_cell_beside(const struct world *w, unsigned branch, int code);
void walk_cell_crash(enum hf__act_kind act, unsigned out);
void walk_cell_probe(enum mode mode, enum hf_probe answer);
void walk_cell_detach(enum mode mode, bool gone);
void walk_cell_log(enum mode mode, enum hf__act_kind act, enum hf__logged answer);
extern const int walk_codes[CODE_COUNT];

/* -- walk_rm.c: sets of truths are bit sets, 1 << enum truth ----------------------------------- */
unsigned walk_rm_truths(enum hf__act_kind call, enum truth truth, int code);
unsigned walk_rm_crash_truths(enum hf__act_kind call, enum truth truth);
int walk_rm_fair_code(enum hf__act_kind call, enum truth truth);
enum hf_probe walk_rm_fair_probe(const struct rm *rm);
bool walk_rm_is_scanned(enum truth truth);
void walk_rm_learn(struct rm *rm, enum hf__act_kind call, int code, bool single);
void walk_rm_move(struct rm *rm, enum hf__act_kind call, enum truth truth);

/* -- walk_life.c ------------------------------------------------------------------------------- */
void walk_begin(struct world *w);
unsigned walk_events(const struct world *w, struct event ret[EVENTS_MAX]);
void walk_apply(struct world *w, const struct event *ev);
enum hf__fate walk_listed_fate(const struct disk *d, unsigned rm);
bool walk_listed_heuristic(const struct disk *d, unsigned rm);

/* -- walk_class.c ------------------------------------------------------------------------------ */
int walk_class(enum hf__act_kind call, int code);
unsigned long walk_prove_classes(void);

/* -- walk_check.c ------------------------------------------------------------------------------ */
void walk_check_act(const struct world *w, struct hf__act act);
void walk_check_force(const struct world *w);
void walk_check_record(const struct world *w, const struct disk *next);
void walk_check_told(const struct world *w, hf_outcome outcome);
void walk_check_done(const struct world *w);
void walk_check_world(const struct world *w);
void walk_check_verdict(const struct world *w, unsigned rm, enum hf__verdict verdict);
void walk_check_left(const struct world *w);
void walk_check_settled(const struct world *w);

static inline bool walk_is_rb(int code)
{
    return code >= XA_RBBASE && code <= XA_RBEND;
}

static inline bool walk_is_heur(int code)
{
    return code >= XA_HEURMIX && code <= XA_HEURHAZ;
}

static inline struct rm *walk_rm(struct world *w, unsigned branch)
{
    return &w->rm[w->map[branch]];
}

/* The remembered code of a branch that may still make a difference; 0 for all others. */
static inline int16_t walk_code(const struct hf__branch *b)
{
    return b->state == HF__B_HEURISTIC && walk_is_heur(b->code) ? b->code : 0;
}

static inline bool walk_is_async(const struct world *w, enum hf__act_kind act, unsigned branch)
{
    return (act == HF__ACT_PREPARE || act == HF__ACT_COMMIT) && w->b[branch].async;
}

static inline bool walk_calls_rm(enum hf__act_kind kind)
{
    return kind == HF__ACT_END || kind == HF__ACT_PREPARE || kind == HF__ACT_COMMIT ||
           kind == HF__ACT_COMMIT_ONE || kind == HF__ACT_ROLLBACK || kind == HF__ACT_PROBE ||
           kind == HF__ACT_DETACH || kind == HF__ACT_FORGET;
}

#endif
