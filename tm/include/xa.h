/*
 * xa.h - the X/Open XA interface between transaction and resource managers.
 *
 * The binary interface of X/Open CAE Specification C193, "Distributed Transaction Processing: The
 * XA Specification", December 1991 ([XA]), also published as ISO/IEC 14834:1996. Names, order,
 * types and values are those of the specification: this header can be exchanged with any vendor's.
 *
 * tests/spec/xa_h.c proves layout and values. Two facts that bite: `long` is 64 bits wide here on
 * LP64 systems, and in some vendors' 64-bit libraries it is not; and the entries stand in the order
 * of struct xa_switch_t below, rollback before prepare.
 */
#ifndef XA_H
#define XA_H

#define XA_H_VERSION 0 /* the version of this header, not of a switch */

#ifdef __cplusplus
extern "C" {
#endif

/* -- transaction branch identification [XA 4.2] ----------------------------------------------- */

#if !defined(XID_T_TYPE) && !defined(XIDDATASIZE) /* tx.h declares the same structure */
#define XID_T_TYPE
#define XIDDATASIZE 128 /* bytes */
#define MAXGTRIDSIZE 64 /* most bytes of a global transaction identifier */
#define MAXBQUALSIZE 64 /* most bytes of a branch qualifier */

struct xid_t {
    long formatID;          /* -1: the null XID; 0: OSI CCR naming; above 0: a private format */
    long gtrid_length;      /* 1 to 64 */
    long bqual_length;      /* 1 to 64 */
    char data[XIDDATASIZE]; /* gtrid, then bqual; no terminator; the rest has no meaning */
};
typedef struct xid_t XID;
#endif

/* -- the resource manager switch [XA 4.3] ----------------------------------------------------- */

#define RMNAMESZ 32     /* bytes of a resource manager's name, with its NUL */
#define MAXINFOSIZE 256 /* bytes of an open or close string, with its NUL */

struct xa_switch_t {
    char name[RMNAMESZ];
    long flags;   /* TMNOFLAGS, or TMREGISTER | TMNOMIGRATE | TMUSEASYNC */
    long version; /* must be 0 */
    int (*xa_open_entry)(char *, int, long);
    int (*xa_close_entry)(char *, int, long);
    int (*xa_start_entry)(XID *, int, long);
    int (*xa_end_entry)(XID *, int, long);
    int (*xa_rollback_entry)(XID *, int, long);
    int (*xa_prepare_entry)(XID *, int, long);
    int (*xa_commit_entry)(XID *, int, long);
    int (*xa_recover_entry)(XID *, long, int, long);
    int (*xa_forget_entry)(XID *, int, long);
    int (*xa_complete_entry)(int *, int *, int, long);
};

/* What a transaction manager offers to resource managers that register dynamically [XA 3.3]. */
extern int ax_reg(int, XID *, long);
extern int ax_unreg(int, long);

/* -- flags of a switch ------------------------------------------------------------------------ */

#define TMNOFLAGS 0x00000000L
#define TMREGISTER 0x00000001L  /* registers dynamically, by ax_reg() */
#define TMNOMIGRATE 0x00000002L /* no migration of associations between threads */
#define TMUSEASYNC 0x00000004L  /* offers asynchronous operations */

/* -- flags of a call -------------------------------------------------------------------------- */

#define TMASYNC 0x80000000L
#define TMONEPHASE 0x40000000L
#define TMFAIL 0x20000000L
#define TMNOWAIT 0x10000000L
#define TMRESUME 0x08000000L
#define TMSUCCESS 0x04000000L
#define TMSUSPEND 0x02000000L
#define TMSTARTRSCAN 0x01000000L
#define TMENDRSCAN 0x00800000L
#define TMMULTIPLE 0x00400000L
#define TMJOIN 0x00200000L
#define TMMIGRATE 0x00100000L

/* -- return codes of ax_ routines ------------------------------------------------------------- */

#define TM_JOIN 2
#define TM_RESUME 1
#define TM_OK 0
#define TMER_TMERR (-1)
#define TMER_INVAL (-2)
#define TMER_PROTO (-3)

/* -- return codes of xa_ routines ------------------------------------------------------------- */

#define XA_RBBASE 100
#define XA_RBROLLBACK XA_RBBASE
#define XA_RBCOMMFAIL (XA_RBBASE + 1)
#define XA_RBDEADLOCK (XA_RBBASE + 2)
#define XA_RBINTEGRITY (XA_RBBASE + 3)
#define XA_RBOTHER (XA_RBBASE + 4)
#define XA_RBPROTO (XA_RBBASE + 5)
#define XA_RBTIMEOUT (XA_RBBASE + 6)
#define XA_RBTRANSIENT (XA_RBBASE + 7)
#define XA_RBEND XA_RBTRANSIENT /* test a range: XA_RBBASE <= rc && rc <= XA_RBEND */

#define XA_NOMIGRATE 9
#define XA_HEURHAZ 8
#define XA_HEURCOM 7
#define XA_HEURRB 6
#define XA_HEURMIX 5
#define XA_RETRY 4
#define XA_RDONLY 3
#define XA_OK 0
#define XAER_ASYNC (-2)
#define XAER_RMERR (-3)
#define XAER_NOTA (-4)
#define XAER_INVAL (-5)
#define XAER_PROTO (-6)
#define XAER_RMFAIL (-7)
#define XAER_DUPID (-8)
#define XAER_OUTSIDE (-9)

#ifdef __cplusplus
}
#endif

#endif /* XA_H */
