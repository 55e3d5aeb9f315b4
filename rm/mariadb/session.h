/*
 * rm/mariadb/session.h - the open rmids, each one connection; and talking over it.
 *
 * Any thread may use any rmid, one at a time, so the members need no lock, but for those that
 * other threads look at: `next`, `has` and `xid` are written under the lock of the bucket.
 */
#ifndef HF_MARIADB_SESSION_H
#define HF_MARIADB_SESSION_H

#include <stddef.h>
#include <stdint.h>

#include <mysql.h>

#include "options.h"
#include "xa.h"

enum my_association {
    MY_NONE,       /* T0 */
    MY_ASSOCIATED, /* T1 */
    MY_SUSPENDED   /* T2: kept here only, the server knows of no such thing */
};

/* What the session has at the server. An idle branch (S2) is still active there: XA END travels
   with what comes after it. */
enum my_branch {
    MY_ABSENT,
    MY_ACTIVE,  /* S1; S2 without an association */
    MY_SPOILT,  /* S4 */
    MY_PREPARED /* S3 */
};

enum { MY_WHO_SIZE = 640 }; /* bytes of a user, a host and a role, with the NUL */

enum my_op {
    MY_OP_NONE, /* no call is under way (A0 of table 6-5) */
    MY_OP_START,
    MY_OP_PREPARE,
    MY_OP_COMMIT,
    MY_OP_ONEPHASE,
    MY_OP_ROLLBACK,
    MY_OP_PARKED /* answered already; xa_complete() fetches it */
};

struct my_session {
    struct my_session *next; /* of the bucket; guarded by the registry */
    int rmid;
    MYSQL *conn; /* ours; lent to the user */
    unsigned long thread_id;
    int lost;                  /* XAER_RMFAIL was told, or will be: R0 */
    char *schema;              /* the default database that it was opened with */
    char who[MY_WHO_SIZE];     /* its user and role, as it was opened */
    int autocommits;           /* as it was opened */
    unsigned long long number; /* of the last message (session.c, R4) */
    int has_number;            /* it begins with that */
    int is_compound;           /* its last answer is one of its own */
    int answering;             /* something of its answer was read, the number first */
    unsigned number_error;     /* what reading that gave */
    int disturbed;             /* somebody has used it since the vote (session.c, R7) */
    int refused; /* the server refused to start a branch: something of a user's is in the way */
    int64_t heard_ms; /* when it answered us last; monotonic */
    struct my_options options;
    char marker[160]; /* the quoted name of the marker's table; with proof=marker only */
    enum my_association association;
    enum my_branch branch;
    int has;       /* branch is not MY_ABSENT */
    XID xid;       /* of the branch, or of the last one: its lock is held; formatID -1: none yet */
    enum my_op op; /* under way */
    XID op_xid;    /* that it is about */
    unsigned user_error; /* of the user's last statement before it */
    int handle;
    int parked;
    XID *scan; /* of xa_recover(); NULL: none is open */
    size_t scan_count, scan_at;
    XID *calm; /* branches of other sessions that may be completed (recover.c) */
    size_t calm_count;
};

/*
 * Is this a child after fork of the process that has rmids open? Then nothing else may be called
 * before hf__my_session_begin(), after which nothing is open: the sockets are the parent's.
 */
int hf__my_session_is_forked(void);
void hf__my_session_begin(void);

/* NULL: not open. */
struct my_session *hf__my_session_find(int rmid);
/* It has a branch from now on; its lock is held from now on. */
void hf__my_session_take(struct my_session *s, const XID *xid);
/* The branch is over here. */
void hf__my_session_drop(struct my_session *s);
/* Does a session other than s have the branch? */
int hf__my_session_elsewhere(const struct my_session *s, const XID *xid);
/* The branch that rmid has; 0 if it has none. For a thread that is not the one that uses it. */
int hf__my_session_branch_of(int rmid, XID *ret);
/* Connect, and put it into the registry. XA_OK, or XAER_INVAL, XAER_RMERR with the words noted. */
int hf__my_session_open(int rmid, const char *info);
/* Take it out, disconnect and free it. */
void hf__my_session_close(struct my_session *s);
/* A connection with the same options that is in no registry; NULL, with the words noted. */
MYSQL *hf__my_session_connect(const struct my_options *options);

/* The connection is of no use any more: the server is made to notice. Returns XAER_RMFAIL. */
int hf__my_session_lose(struct my_session *s);
/* Is it a session that can be talked to? XA_OK or XAER_RMFAIL. */
int hf__my_session_check(struct my_session *s);

/* Is nothing under way, and has nobody sent anything since our own last answer? Asks nobody. */
int hf__my_session_is_untouched(const struct my_session *s);
/* Has somebody used it since its branch was prepared? */
int hf__my_session_is_disturbed(struct my_session *s);
/* Is there something to read within timeout_ms, an end among others? */
int hf__my_session_has_input(const struct my_session *s, int timeout_ms);
/* One round trip of timeout_ms at most: does the session answer, and us? 0, or an error number with
   the words noted: then the connection is lost. Any state of a branch. */
unsigned hf__my_session_ask(struct my_session *s, int timeout_ms);
/* As ask, and only if it is not untouched. It waits for some seconds, and kills what runs then. */
unsigned hf__my_session_in_step(struct my_session *s);
/* Has it a transaction, or another setting of autocommit than at first, by its last answer? */
int hf__my_session_is_changed(const struct my_session *s);
/* All of it as it was opened: two round trips, more if there was much to undo. Nothing of a branch
   may be in it. 0, or the error number, with the words noted: another user or role, too. */
unsigned hf__my_session_reset(struct my_session *s);
/* The default database as it was opened: asks only if it is another one. */
unsigned hf__my_session_home(struct my_session *s);
/* The parts of a round trip, and the whole: one statement or several, without rows, which are done
   up to the first error. 0, or the error number, with the words noted; one of the client library if
   what came is not the answer to this, and then the connection is lost. */
unsigned hf__my_session_send(struct my_session *s, const char *sql);
/* Is the whole answer here, so that taking it waits for nothing? Reads what is. */
int hf__my_session_is_answered(struct my_session *s);
unsigned hf__my_session_answer(struct my_session *s);
unsigned hf__my_session_run(struct my_session *s, const char *sql);
/* As run, for a statement with rows; the caller frees *ret. */
unsigned hf__my_session_query(struct my_session *s, const char *sql, MYSQL_RES **ret);
/* The first column of the first row, 0 if there is none or it is NULL. */
unsigned hf__my_session_number(struct my_session *s, const char *sql, unsigned long long *ret);

int64_t hf__my_session_now_ms(void); /* monotonic, coarse */

/* Do two XIDs name the same branch? */
int hf__my_session_same(const XID *a, const XID *b);

#endif
