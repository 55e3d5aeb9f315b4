/*
 * tests/crash/matrix/cuts.h - the power cuts: what the driver needs to know of a load.
 */
#ifndef HF_TESTS_CRASH_CUTS_H
#define HF_TESTS_CRASH_CUTS_H

#include "matrix.h"

/* What a process is to do, and what it says; shared with the driver. */
struct orders {
    struct shared *shared;
    unsigned seed;
    bool busy;           /* the server works: it has told of a first transaction */
    char complaint[320]; /* of a server that could not start */
};

/* One of a server's threads. */
struct client {
    struct orders *orders;
    struct world *world;
    unsigned seed;
};

enum { CUTS_THREADS_MAX = 4 };

/* A kind of server, on disk_dir(). */
struct load {
    const char *name;
    struct world (*world)(struct orders *orders);
    void *(*work)(void *client); /* until it is killed */
    unsigned threads;            /* that work; at most CUTS_THREADS_MAX */
    unsigned instances;          /* of these stores the server has some besides its threads' */
    const char *page; /* of the node, below disk_dir(): written out just before some of the cuts */
    unsigned cuts, fresh; /* by preset: cuts in all, and to one file system */
    unsigned work_us;     /* at most, from the first transaction to the cut */
    long bytes;           /* of a file system; 0: a small one */
    /* Others that serve there, and that a cut ends; NULL: there are none. make: on a new file
       system, and have them up; NULL, or why that is not possible here. */
    const char *(*make)(void);
    void (*up)(void);
    void (*down)(void);
};

extern const struct load hf_load; /* of this program */

/* What a server was told by a commit of the transaction over these stores. */
enum told cuts_told_by(int rc, hf_outcome outcome, unsigned stores);

#endif
