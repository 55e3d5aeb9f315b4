/*
 * rm/postgres/rmid.h - the rmids that are open in this process: a connection and its branch each.
 *
 * Associations belong to the rmid, not to the thread: any thread may use any rmid, one at a time,
 * so the members of an entry need no lock; finding it does.
 */
#ifndef HF_PG_RMID_H
#define HF_PG_RMID_H

#include <stdatomic.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "gid.h"
#include "holdfast/tm.h"
#include "sqlstate.h"

enum pg_association {
    PG_NONE,       /* T0 */
    PG_ASSOCIATED, /* T1 */
    PG_SUSPENDED   /* T2 */
};

enum pg_state {
    PG_ABSENT,  /* S0 */
    PG_WORKING, /* S1 with an association, S2 without */
    PG_DOOMED,  /* S4, or on the way there: the answer is `spoilt` */
    PG_PREPARED /* S3, or told to: the last branch of this rmid that was asked to prepare */
};

struct pg_branch {
    enum pg_state state;
    char gid[PG_GID_SIZE];
    int begun;       /* BEGIN and the marker are in the server */
    int wrote;       /* a command that changes something was seen */
    int outside;     /* a statement ran before BEGIN: it is not in the branch */
    int spoilt;      /* XA_RB...: how the branch can only end; 0: it can still commit */
    int told_spoilt; /* somebody was answered so */
    char sqlstate[PG_SQLSTATE_SIZE]; /* of the last error to the user; "" none */
    unsigned char token[HF_TOKEN_SIZE_MAX];
    size_t token_size;
};

/* How a vote's check is sent: operation.c. */
enum pg_vote {
    PG_VOTE_NEW,   /* no vote yet: as a query */
    PG_VOTE_AGAIN, /* as a statement that is prepared first */
    PG_VOTE_READY, /* it is prepared */
    PG_VOTE_PLAIN, /* always as a query: the statement's name is the user's, or may be */
    PG_VOTE_COUNT
};

/* A message that is under way, or an answer that waits to be fetched: operation.c. */
struct pg_operation {
    int step;   /* enum pg_step */
    int handle; /* of the call with TMASYNC; 0: none is waiting */
    int vote;   /* the answer, once the transaction has been cleaned up */
    char gid[PG_GID_SIZE];
    /* Of the message's answer so far. */
    int check;     /* which statement is the check: 1 or 2 */
    int results;   /* how many came */
    int failed;    /* 1 and on: the one that was an error; 0: none */
    int ended;     /* the session is over */
    int warned;    /* a warning says that the answer is not the whole truth */
    int read_only; /* no transaction id was assigned */
    char tag[32];  /* of the last command */
    char sqlstate[PG_SQLSTATE_SIZE];
};

struct pg_scan {
    int open;
    XID *xids;
    long count;
    long next;
};

/* Has it work that is not prepared? */
static inline int hf__pg_branch_is_unfinished(const struct pg_branch *b)
{
    return b->state == PG_WORKING || b->state == PG_DOOMED;
}

struct pg_rmid {
    struct pg_rmid *next; /* of the bucket; guarded by the registry */
    int rmid;
    int unsafe;                /* unsafe=yes */
    PGconn *conn;              /* NULL: none since it failed */
    PGcancel *cancel;          /* the same from open to close: another thread may be in it */
    PQnoticeReceiver receiver; /* libpq's own, as the next one */
    PQnoticeProcessor processor;
    int backend;      /* the session's process */
    int used;         /* the user got a result since the session was clean */
    int cleaning;     /* DISCARD ALL is under way, and nobody has read its answer yet */
    int ended;        /* the server has said that the session is over */
    int heard;        /* an answer came since the pool looked last */
    int64_t heard_ms; /* when the pool knew last that it answers; monotonic */
    int failed;       /* R0: XAER_RMFAIL until it is closed, or opened again */
    int vote;         /* enum pg_vote: of this session */
    int own;          /* results that come now are of our own statements */
    int last_handle;
    _Atomic int cancelled; /* the branch's work was; set by any thread */
    enum pg_association association;
    struct pg_branch branch;
    struct pg_operation operation;
    struct pg_scan scan;
};

/*
 * Is this a child after fork of the process that has rmids open? Then nothing else may be called
 * before hf__pg_rmid_begin(), after which nothing is open: the sockets are the parent's.
 */
int hf__pg_rmid_is_forked(void);
void hf__pg_rmid_begin(void);

/* NULL: not open. */
struct pg_rmid *hf__pg_rmid_find(int rmid);
/* An empty entry. NULL: no memory. */
struct pg_rmid *hf__pg_rmid_add(int rmid);
/* Takes the entry out and frees it; the connection is closed before. */
void hf__pg_rmid_remove(struct pg_rmid *entry);

#endif
