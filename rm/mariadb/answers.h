/*
 * rm/mariadb/answers.h - what an error number of the server or of the client library means for XA.
 */
#ifndef HF_MARIADB_ANSWERS_H
#define HF_MARIADB_ANSWERS_H

enum my_kind {
    MY_FINE,    /* 0: no error */
    MY_LOST,    /* the connection cannot be used any more; what it last asked for is not known */
    MY_UNSURE,  /* answered, and yet not known whether it was done */
    MY_NOTA,    /* no such branch, or none that this session may touch */
    MY_STATE,   /* not in this state of the session */
    MY_OUTSIDE, /* the session works outside of the branch */
    MY_DUPID,   /* the branch exists */
    MY_NO,      /* the branch cannot commit; with a reason */
    MY_REFUSED  /* everything else: the server said no, and did nothing */
};

enum my_kind hf__my_answers_kind(unsigned native);
/* XA_RB...: how a vote, or a commit in one phase, says why it was no. */
int hf__my_answers_rollback(unsigned native);
/* What xa_start() answers. native is not 0. */
int hf__my_answers_start(unsigned native);

/* The table, for its test: 0 after the last row. */
unsigned hf__my_answers_row(unsigned row);

#endif
