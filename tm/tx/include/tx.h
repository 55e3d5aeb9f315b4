/*
 * tx.h - the X/Open TX interface: how an application demarcates global transactions.
 *
 * The C interface of X/Open CAE Specification C504, "Distributed Transaction Processing: The TX
 * (Transaction Demarcation) Specification", April 1995 ([TX]). Names, types and values are those of
 * the specification: a program written to it compiles with this header and runs unchanged. Which
 * resource managers take part is said by the file that the environment's HOLDFAST_CONFIG names; see
 * holdfast/config.h.
 *
 * All of it is for each thread of control, which is a thread: what one has opened, begun or set
 * concerns no other. A thread that ends with its transaction open has it rolled back.
 *
 *   state                            S0 not opened   S1, S2 no transaction   S3, S4 in one
 *   (S2, S4: chained)
 *   tx_open                          S1              as before               as before
 *   tx_close                         S0              S0                      TX_PROTOCOL_ERROR
 *   tx_begin                         PROTOCOL_ERROR  S3, S4                  TX_PROTOCOL_ERROR
 *   tx_commit, tx_rollback           PROTOCOL_ERROR  TX_PROTOCOL_ERROR       S1; S4, or S2 if the
 *                                                                            next did not begin
 *   tx_set_transaction_control       PROTOCOL_ERROR  S1, S2                  S3, S4
 *   tx_info, the other tx_set_...    PROTOCOL_ERROR  as before               as before
 *
 * Where the specification leaves a choice to the transaction manager:
 *   - tx_set_commit_return() takes both values; TX_COMMIT_COMPLETED is the initial one.
 *   - Work outside of global transactions is supported. After a commit that returned when its
 *     decision was logged (TX_COMMIT_DECISION_LOGGED), resource managers are still at work for it
 *     in another thread: use none natively before tx_begin(), tx_close() or hf_opened_rmid().
 *   - tx_close() and tx_open() set all characteristics back to their initial values.
 *   - A commit whose decision stands, and that some resource manager has not acknowledged, is
 *     TX_HAZARD with TX_COMMIT_COMPLETED. Recovery carries it out. The thread goes on.
 *   - A rollback that some resource manager could not be told is TX_ROLLBACK, from tx_rollback()
 *     TX_OK: no record of a commit exists, so nobody will ever be told to commit. TX_HAZARD if it
 *     refused, instead of being out of reach.
 *   - TX_FAIL from tx_commit() says that the log failed while deciding: the outcome is not known.
 *     Nothing can be begun until every thread has called tx_close(); do not repeat the work before
 *     hf_tm_outcome(), `txctl tx show`, or the data themselves have said what became of it.
 *
 * Declares XID, as xa.h does, unless that is there already. Cannot be included together with X11's
 * headers, which have an XID of their own.
 */
#ifndef TX_H
#define TX_H

#define TX_H_VERSION 0 /* of this header */

#ifdef __cplusplus
extern "C" {
#endif

/* -- transaction branch identification [XA 4.2] ----------------------------------------------- */

#if !defined(XID_T_TYPE) && !defined(XIDDATASIZE) /* xa.h declares the same structure */
#define XID_T_TYPE
#define XIDDATASIZE 128 /* bytes */
#define MAXGTRIDSIZE 64 /* most bytes of a global transaction identifier */
#define MAXBQUALSIZE 64 /* most bytes of a branch qualifier */

struct xid_t {
    long formatID;          /* -1: the null XID; 0: OSI CCR naming; above 0: a private format */
    long gtrid_length;      /* 1 to 64 */
    long bqual_length;      /* 1 to 64; 0 from tx_info(): no branch */
    char data[XIDDATASIZE]; /* gtrid, then bqual; no terminator; the rest has no meaning */
};
typedef struct xid_t XID;
#endif

/* -- characteristics and information [TX 5] --------------------------------------------------- */

typedef long COMMIT_RETURN;
#define TX_COMMIT_COMPLETED 0       /* tx_commit() returns when the second phase is over */
#define TX_COMMIT_DECISION_LOGGED 1 /* or when the decision is durable */

typedef long TRANSACTION_CONTROL;
#define TX_UNCHAINED 0
#define TX_CHAINED 1 /* completing a transaction begins the next */

typedef long TRANSACTION_TIMEOUT; /* seconds; 0: none */

typedef long TRANSACTION_STATE;
#define TX_ACTIVE 0
#define TX_TIMEOUT_ROLLBACK_ONLY 1
#define TX_ROLLBACK_ONLY 2

struct tx_info_t {
    XID xid; /* of the global transaction; the null XID outside of one */
    COMMIT_RETURN when_return;
    TRANSACTION_CONTROL transaction_control;
    TRANSACTION_TIMEOUT transaction_timeout; /* of the next transaction */
    TRANSACTION_STATE transaction_state;     /* has a meaning in a transaction only */
};
typedef struct tx_info_t TXINFO;

/* -- return codes [TX 5] ---------------------------------------------------------------------- */

#define TX_NOT_SUPPORTED 1     /* a value that this transaction manager does not offer */
#define TX_OK 0                /* done */
#define TX_OUTSIDE (-1)        /* a resource manager is at work outside of any transaction */
#define TX_ROLLBACK (-2)       /* the transaction was rolled back */
#define TX_MIXED (-3)          /* committed in part, and in part rolled back */
#define TX_HAZARD (-4)         /* may have been committed in part, and in part rolled back */
#define TX_PROTOCOL_ERROR (-5) /* not to be called in this state; nothing was done */
#define TX_ERROR (-6)          /* a transient failure */
#define TX_FAIL (-7)           /* a fatal one */
#define TX_EINVAL (-8)         /* an invalid argument; nothing was done */
#define TX_COMMITTED (-9)      /* was to be rolled back, and had been committed */

/* The same, and in chained mode the next transaction could not be begun. */
#define TX_NO_BEGIN (-100)
#define TX_ROLLBACK_NO_BEGIN (TX_ROLLBACK + TX_NO_BEGIN)
#define TX_MIXED_NO_BEGIN (TX_MIXED + TX_NO_BEGIN)
#define TX_HAZARD_NO_BEGIN (TX_HAZARD + TX_NO_BEGIN)
#define TX_COMMITTED_NO_BEGIN (TX_COMMITTED + TX_NO_BEGIN)

#if defined(__GNUC__)
#define TX_API_ __attribute__((visibility("default")))
#else
#define TX_API_
#endif

/*
 * Open the resource managers for the calling thread. The first thread of the process reads the file
 * that HOLDFAST_CONFIG names, opens the node and runs recovery. Again: TX_OK, and nothing is done.
 *
 *   TX_OK     open; resource managers that could not be reached are not, and were named to the log
 *             callback: their own interfaces fail, and transactions go without them. tx_begin()
 *             tries again, ever less often, and says so when one takes part. One thread at a time
 *             tries one, after a pause as long as the last try took, at least: an xa_open that
 *             hangs holds up that thread, while the others go on without
 *   TX_ERROR  none could be opened, or the node could not, in a way that may pass
 *   TX_FAIL   the configuration is missing or wrong, a library or symbol is missing, a switch is
 *             not acceptable, or the node refuses
 *
 * A child after fork() is in state S0, whatever its parent had open, and opens for itself.
 */
extern TX_API_ int tx_open(void);

/*
 * Close them. The last thread that does so closes the node.
 *
 *   TX_OK              closed, or nothing was open
 *   TX_PROTOCOL_ERROR  in a transaction, or a resource manager is at work outside of any: the
 *                      thread is not closed
 *   TX_ERROR           closed, and a resource manager reported an error of its xa_close
 *   TX_FAIL            closed for this thread; the node could not be
 */
extern TX_API_ int tx_close(void);

/*
 * Begin a transaction: a branch in each resource manager that does not register by itself.
 *
 *   TX_OK
 *   TX_OUTSIDE         a resource manager is at work for this thread outside of any transaction
 *   TX_PROTOCOL_ERROR  not opened, or in a transaction
 *   TX_ERROR           not begun, and may be tried again; also while a resource manager that this
 *                      thread had open, and lost, cannot be opened again
 *   TX_FAIL            not begun: the log failed, or a resource manager answered XAER_RMFAIL or
 *                      what xa_start must not answer
 */
extern TX_API_ int tx_begin(void);

/*
 * Commit the transaction. In chained mode begin the next.
 *
 *   TX_OK, TX_NO_BEGIN                 committed, and it survives a power cut
 *   TX_ROLLBACK, TX_ROLLBACK_NO_BEGIN  rolled back everywhere; the work may be done again
 *   TX_MIXED, TX_MIXED_NO_BEGIN        an operator has to look (txctl tx list)
 *   TX_HAZARD, TX_HAZARD_NO_BEGIN      the same, or recovery still has something to do
 *   TX_PROTOCOL_ERROR                  not in a transaction
 *   TX_FAIL                            the outcome is not known: see above. No transaction is begun
 */
extern TX_API_ int tx_commit(void);

/*
 * Roll the transaction back. In chained mode begin the next.
 *
 *   TX_OK, TX_NO_BEGIN                   rolled back
 *   TX_MIXED, TX_HAZARD, TX_COMMITTED    a resource manager had decided by itself
 *   the same with _NO_BEGIN
 *   TX_PROTOCOL_ERROR                    not in a transaction
 *   TX_FAIL                              nothing was done, or it is not known what
 */
extern TX_API_ int tx_rollback(void);

/*
 * 1 in a transaction, 0 outside, TX_PROTOCOL_ERROR when not opened. info may be NULL.
 */
extern TX_API_ int tx_info(TXINFO *info);

/*
 * When tx_commit() returns. TX_OK, TX_EINVAL, TX_PROTOCOL_ERROR, TX_NOT_SUPPORTED.
 *
 * With TX_COMMIT_DECISION_LOGGED the second phase is done by a thread of the library, which is
 * started when the first thread asks for it (TX_NOT_SUPPORTED if it cannot be). What resource
 * managers decide by themselves is recorded and told to the log callback, and not returned. The
 * thread's next transaction begins when that is over: tx_begin(), also that of chained mode, waits
 * for it, and does it where that thread has not begun it. Where a branch is bound to its thread, or
 * decided in one phase, tx_commit() returns after it, and so as with TX_COMMIT_COMPLETED.
 */
extern TX_API_ int tx_set_commit_return(COMMIT_RETURN when_return);

/*
 * Whether completing a transaction begins the next. TX_OK, TX_EINVAL, TX_PROTOCOL_ERROR.
 */
extern TX_API_ int tx_set_transaction_control(TRANSACTION_CONTROL control);

/*
 * The time of the transactions that begin from now on, in seconds; 0: no limit. At most 4,294,967.
 * TX_OK, TX_EINVAL, TX_PROTOCOL_ERROR.
 */
extern TX_API_ int tx_set_transaction_timeout(TRANSACTION_TIMEOUT timeout);

#ifdef __cplusplus
}
#endif

#endif /* TX_H */
