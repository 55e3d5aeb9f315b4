/*
 * tools/bank/plant.c - what makes a bank_faulty out of a bank, and a txctl_faulty out of txctl, in
 * fault builds only.
 *
 * Linked to a program as it is, this plants the mistake that HOLDFAST_BUG names and sets the
 * failpoints of HOLDFAST_FAULTS before main() runs. A supervisor that does not notice such a bank
 * is worth nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "holdfast/internal/fault.h"

__attribute__((constructor)) static void plant(void)
{
    const char *bug = getenv("HOLDFAST_BUG");
    const char *faults = getenv("HOLDFAST_FAULTS");

    if (bug != NULL)
        hf__bug_plant(bug);
    if (faults != NULL && hf__fault_set(faults) != 0) {
        fprintf(stderr, "%s: HOLDFAST_FAULTS cannot be read: %s\n", program_invocation_short_name,
                faults);
        _exit(2);
    }
}
