/*
 * tests/support/bad_switches.c - a shared object with switches that no transaction manager should
 * take, and one that it should, which registers dynamically.
 */
#include <stddef.h>
#include <stdint.h>

#include "xa.h"

static int none_string(char *info, int rmid, long flags)
{
    (void)info, (void)rmid, (void)flags;
    return XA_OK;
}

static int none(XID *xid, int rmid, long flags)
{
    (void)xid, (void)rmid, (void)flags;
    return XA_OK;
}

static int none_recover(XID *xids, long count, int rmid, long flags)
{
    (void)xids, (void)count, (void)rmid, (void)flags;
    return 0;
}

static int none_complete(int *handle, int *ret, int rmid, long flags)
{
    (void)handle, (void)ret, (void)rmid, (void)flags;
    return XAER_PROTO;
}

#define ENTRIES                                                                                    \
    none_string, none_string, none, none, none, none, none, none_recover, none, none_complete

#define EXPORT __attribute__((visibility("default")))

extern struct xa_switch_t version_1, null_entry, no_name, dynamic;
EXPORT struct xa_switch_t version_1 = {"version 1", TMNOFLAGS, 1, ENTRIES};
EXPORT struct xa_switch_t null_entry = {"null entry", TMNOFLAGS, 0,    none_string, none_string,
                                        none,         none,      none, none,        none,
                                        none_recover, none,      NULL};
EXPORT struct xa_switch_t no_name = {"a name of 32 bytes, without NUL.", TMNOFLAGS, 0, ENTRIES};
EXPORT struct xa_switch_t dynamic = {"dynamic", TMREGISTER, 0, ENTRIES};

/* Made for longs of 32 bits: its first entry stands where ours has the version. */
struct narrow_switch_t {
    char name[RMNAMESZ];
    int32_t flags;
    int32_t version;
    int (*entries[10])(char *, int, long);
};
extern struct narrow_switch_t narrow;
EXPORT struct narrow_switch_t narrow = {"narrow",
                                        0,
                                        0,
                                        {none_string, none_string, none_string, none_string,
                                         none_string, none_string, none_string, none_string,
                                         none_string, none_string}};
