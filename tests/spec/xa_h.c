/*
 * What: xa.h is the header of the XA specification: layout, order, types and every value.
 * How:  static assertions, written from the published tables and not from our header. This file is
 *       compiled, never run: headers/xa_h.sh does it, and then once for each line of xa.h with that
 *       line changed, which must not compile. Offsets are those of LP64.
 */
#include <limits.h>
#include <stddef.h>

#include "xa.h"

#define AT(type, member, offset)                                                                   \
    _Static_assert(offsetof(type, member) == (offset), #type "." #member)
#define SIZE(type, size) _Static_assert(sizeof(type) == (size), "size of " #type)

/* Value and type: flags are long, so that none is cut when passed through "...", codes are int. */
#define FLAG(name, value)                                                                          \
    _Static_assert((name) == (value), #name);                                                      \
    _Static_assert(_Generic((name), long : 1, default : 0), #name " is a long")
#define CODE(name, value)                                                                          \
    _Static_assert((name) == (value), #name);                                                      \
    _Static_assert(_Generic((name), int : 1, default : 0), #name " is an int");                    \
    _Static_assert(2 * name == 2 * (value), #name " has its parentheses")

_Static_assert(sizeof(long) == 8 && sizeof(void *) == 8, "these offsets are those of LP64");

/* -- the branch identifier [XA 4.2] ----------------------------------------------------------- */

#ifndef XID_T_TYPE
#error "tx.h of others asks for XID_T_TYPE before it declares XID"
#endif
#ifdef NULLXID
#error "C193 has no macro NULLXID; others define it as they like"
#endif

CODE(XIDDATASIZE, 128);
CODE(MAXGTRIDSIZE, 64);
CODE(MAXBQUALSIZE, 64);
CODE(RMNAMESZ, 32);
CODE(MAXINFOSIZE, 256);

AT(struct xid_t, formatID, 0);
AT(struct xid_t, gtrid_length, 8);
AT(struct xid_t, bqual_length, 16);
AT(struct xid_t, data, 24);
SIZE(struct xid_t, 152);
SIZE(XID, 152);
SIZE(((XID *)0)->data, 128);
_Static_assert(_Generic(((XID *)0)->formatID, long : 1, default : 0), "formatID");
_Static_assert(_Generic(((XID *)0)->gtrid_length, long : 1, default : 0), "gtrid_length");
_Static_assert(_Generic(((XID *)0)->bqual_length, long : 1, default : 0), "bqual_length");
_Static_assert(_Generic(&((XID *)0)->data, char (*)[128] : 1, default : 0), "data");

/* -- the switch [XA 4.3] ---------------------------------------------------------------------- */

AT(struct xa_switch_t, name, 0);
AT(struct xa_switch_t, flags, 32);
AT(struct xa_switch_t, version, 40);
AT(struct xa_switch_t, xa_open_entry, 48);
AT(struct xa_switch_t, xa_close_entry, 56);
AT(struct xa_switch_t, xa_start_entry, 64);
AT(struct xa_switch_t, xa_end_entry, 72);
AT(struct xa_switch_t, xa_rollback_entry, 80);
AT(struct xa_switch_t, xa_prepare_entry, 88);
AT(struct xa_switch_t, xa_commit_entry, 96);
AT(struct xa_switch_t, xa_recover_entry, 104);
AT(struct xa_switch_t, xa_forget_entry, 112);
AT(struct xa_switch_t, xa_complete_entry, 120);
SIZE(struct xa_switch_t, 128);
SIZE(((struct xa_switch_t *)0)->name, 32);

typedef int info_entry(char *, int, long);
typedef int xid_entry(XID *, int, long);
typedef int recover_entry(XID *, long, int, long);
typedef int complete_entry(int *, int *, int, long);

#define ENTRY(member, type)                                                                        \
    _Static_assert(_Generic(((struct xa_switch_t *)0)->member, type * : 1, default : 0), #member)

ENTRY(xa_open_entry, info_entry);
ENTRY(xa_close_entry, info_entry);
ENTRY(xa_start_entry, xid_entry);
ENTRY(xa_end_entry, xid_entry);
ENTRY(xa_rollback_entry, xid_entry);
ENTRY(xa_prepare_entry, xid_entry);
ENTRY(xa_commit_entry, xid_entry);
ENTRY(xa_recover_entry, recover_entry);
ENTRY(xa_forget_entry, xid_entry);
ENTRY(xa_complete_entry, complete_entry);
_Static_assert(_Generic(((struct xa_switch_t *)0)->flags, long : 1, default : 0), "flags");
_Static_assert(_Generic(((struct xa_switch_t *)0)->version, long : 1, default : 0), "version");

typedef int ax_reg_type(int, XID *, long);
typedef int ax_unreg_type(int, long);
_Static_assert(_Generic(&ax_reg, ax_reg_type * : 1, default : 0), "ax_reg");
_Static_assert(_Generic(&ax_unreg, ax_unreg_type * : 1, default : 0), "ax_unreg");

/* -- flags ------------------------------------------------------------------------------------ */

FLAG(TMNOFLAGS, 0);
FLAG(TMREGISTER, 1);
FLAG(TMNOMIGRATE, 2);
FLAG(TMUSEASYNC, 4);

FLAG(TMASYNC, 2147483648);
FLAG(TMONEPHASE, 1073741824);
FLAG(TMFAIL, 536870912);
FLAG(TMNOWAIT, 268435456);
FLAG(TMRESUME, 134217728);
FLAG(TMSUCCESS, 67108864);
FLAG(TMSUSPEND, 33554432);
FLAG(TMSTARTRSCAN, 16777216);
FLAG(TMENDRSCAN, 8388608);
FLAG(TMMULTIPLE, 4194304);
FLAG(TMJOIN, 2097152);
FLAG(TMMIGRATE, 1048576);

_Static_assert(TMASYNC > INT_MAX, "not cut to an int, where it would be negative");

/* -- return codes ----------------------------------------------------------------------------- */

CODE(TM_JOIN, 2);
CODE(TM_RESUME, 1);
CODE(TM_OK, 0);
CODE(TMER_TMERR, -1);
CODE(TMER_INVAL, -2);
CODE(TMER_PROTO, -3);

CODE(XA_RBBASE, 100);
CODE(XA_RBROLLBACK, 100);
CODE(XA_RBCOMMFAIL, 101);
CODE(XA_RBDEADLOCK, 102);
CODE(XA_RBINTEGRITY, 103);
CODE(XA_RBOTHER, 104);
CODE(XA_RBPROTO, 105);
CODE(XA_RBTIMEOUT, 106);
CODE(XA_RBTRANSIENT, 107);
CODE(XA_RBEND, 107);

CODE(XA_NOMIGRATE, 9);
CODE(XA_HEURHAZ, 8);
CODE(XA_HEURCOM, 7);
CODE(XA_HEURRB, 6);
CODE(XA_HEURMIX, 5);
CODE(XA_RETRY, 4);
CODE(XA_RDONLY, 3);
CODE(XA_OK, 0);
CODE(XAER_ASYNC, -2);
CODE(XAER_RMERR, -3);
CODE(XAER_NOTA, -4);
CODE(XAER_INVAL, -5);
CODE(XAER_PROTO, -6);
CODE(XAER_RMFAIL, -7);
CODE(XAER_DUPID, -8);
CODE(XAER_OUTSIDE, -9);
