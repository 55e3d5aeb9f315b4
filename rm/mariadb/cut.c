/*
 * rm/mariadb/cut.c - see cut.h. An empty file in a release.
 */
#include "cut.h"

#ifdef HF_FAULTS

#include <sys/socket.h>

void hf__my_cut(struct my_session *s)
{
    (void)shutdown(mysql_get_socket(s->conn), SHUT_RDWR); /* it may be broken already */
}

static int breaks_sending(enum my_op op)
{
    switch (op) {
    case MY_OP_START:
        return HF_FAULT_FAILS("mariadb:start-sending");
    case MY_OP_PREPARE:
        return HF_FAULT_FAILS("mariadb:prepare-sending");
    case MY_OP_COMMIT:
        return HF_FAULT_FAILS("mariadb:commit-sending");
    case MY_OP_ONEPHASE:
        return HF_FAULT_FAILS("mariadb:onephase-sending");
    case MY_OP_ROLLBACK:
        return HF_FAULT_FAILS("mariadb:rollback-sending");
    default:
        return 0;
    }
}

static int breaks_sent(enum my_op op)
{
    switch (op) {
    case MY_OP_START:
        return HF_FAULT_FAILS("mariadb:start-sent");
    case MY_OP_PREPARE:
        return HF_FAULT_FAILS("mariadb:prepare-sent");
    case MY_OP_COMMIT:
        return HF_FAULT_FAILS("mariadb:commit-sent");
    case MY_OP_ONEPHASE:
        return HF_FAULT_FAILS("mariadb:onephase-sent");
    case MY_OP_ROLLBACK:
        return HF_FAULT_FAILS("mariadb:rollback-sent");
    default:
        return 0;
    }
}

static int breaks_answered(enum my_op op)
{
    switch (op) {
    case MY_OP_START:
        return HF_FAULT_FAILS("mariadb:start-answered");
    case MY_OP_PREPARE:
        return HF_FAULT_FAILS("mariadb:prepare-answered");
    case MY_OP_COMMIT:
        return HF_FAULT_FAILS("mariadb:commit-answered");
    case MY_OP_ONEPHASE:
        return HF_FAULT_FAILS("mariadb:onephase-answered");
    case MY_OP_ROLLBACK:
        return HF_FAULT_FAILS("mariadb:rollback-answered");
    default:
        return 0;
    }
}

int hf__my_cut_op(struct my_session *s, enum my_op op, enum my_moment moment)
{
    int breaks = moment == MY_SENDING ? breaks_sending(op)
                 : moment == MY_SENT  ? breaks_sent(op)
                                      : breaks_answered(op);

    if (breaks)
        hf__my_cut(s);
    return breaks;
}

#else

typedef int hf__my_cut_nothing; /* ISO C wants a declaration */

#endif
