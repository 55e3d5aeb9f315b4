/*
 * tools/bank/bank_input.h - what the bank is told: its command line and its list of transfers.
 *
 * Nothing here knows of transactions, so that bank.c can be about them alone.
 */
#ifndef BANK_INPUT_H
#define BANK_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the longest name of a transfer or an account, with its NUL. */
enum { NAME_SIZE = 41 };

struct transfer {
    char id[NAME_SIZE];   /* unique in the list */
    char from[NAME_SIZE]; /* account */
    char to[NAME_SIZE];   /* account; may be the same */
    int64_t amount;       /* above 0 */
};

struct bank_input {
    const char *dir;            /* borrowed from argv; made if it was not there */
    unsigned threads;           /* 1 to THREADS_MAX */
    bool recover_only;          /* open, recover, close; the list is empty then */
    struct transfer *transfers; /* owned, in the order of the file */
    size_t transfer_count;
    char (*accounts)[NAME_SIZE]; /* owned; each that a transfer names, once, in byte order */
    size_t account_count;
};

enum { THREADS_MAX = 64 };

/*
 * Read the command line and the transfers. The file is the user's (--csv), else --csv-out or
 * DIR/transfers.csv, which is made from the seed if it is not there yet.
 *
 * Returns -1 to go on; else the status to exit with, when everything has been said (0 after
 * --help, 1 for a file that cannot be read or made, 2 for a wrong option or a broken line: that
 * is named, and no transfer is run).
 */
int bank_input_read(int argc, char **argv, struct bank_input *ret_input);

/* NULL pointers in it are allowed. */
void bank_input_free(struct bank_input *input);

#endif
