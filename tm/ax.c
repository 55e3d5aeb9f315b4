/*
 * tm/ax.c - ax_reg and ax_unreg, which libraries of vendors need to be loaded at all.
 *
 * A library may hold a static and a dynamic switch side by side, so it refers to both routines even
 * where only the static one is used. Switches that register dynamically are refused when they are
 * registered (hf_rm_register()), so nobody who calls here is known as one: the answer is the one
 * for a resource manager whose switch lacks TMREGISTER.
 *
 * Spec: [XA] 3.3, ax_reg(), ax_unreg().
 */
#include "holdfast/base.h"

HF_API int ax_reg(int rmid, XID *xid, long flags)
{
    (void)rmid;
    return flags != TMNOFLAGS || xid == NULL ? TMER_INVAL : TMER_TMERR;
}

HF_API int ax_unreg(int rmid, long flags)
{
    (void)rmid;
    return flags != TMNOFLAGS ? TMER_INVAL : TMER_TMERR;
}
