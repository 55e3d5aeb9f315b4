/*
 * tests/support/tx_world.h - programs that are written to tx.h, over the switches of fake_rm.h.
 *
 * The test's program itself has the switches: rm_a to rm_d, which the configuration finds by their
 * symbols, without a library; it has to be linked with its symbols exported. What the library tells
 * its host is in world.told.
 */
#ifndef HF_TESTS_SUPPORT_TX_WORLD_H
#define HF_TESTS_SUPPORT_TX_WORLD_H

#include "support/fake_rm.h"

#include "holdfast/config.h"
#include "tx.h"

extern struct xa_switch_t rm_a, rm_b, rm_c, rm_d;

/* Setup and teardown of cmocka. The latter leaves the calling thread's transaction, and closes. */
int tx_world_setup(void **state);
int tx_world_teardown(void **state);
/* Both: the next row of a table begins with nothing. */
struct world *tx_world_again(void **state);

/* Write a configuration with the first count, and point HOLDFAST_CONFIG to it. node_keys (NULL:
   background = no) and rm_keys are further lines of [holdfast] and of each [rm ...]. After
   fake_async() and the like. */
void tx_world_configure(struct world *w, int count, const char *node_keys, const char *rm_keys);
/* The same with a text of one's own; its path. */
const char *tx_world_write(struct world *w, const char *text);
/* That, tx_open(), and an empty trace. */
void tx_world_open(struct world *w, int count);

/* 0 to 4, as table 7-1 numbers them. */
int tx_world_state(void);
/* "TX_OK"; the number itself for what is not a TX code. */
const char *tx_code_name(int code);

#define t_tx(want, expr) t__tx((want), (expr), #expr, __FILE__, __LINE__)
void t__tx(int want, int got, const char *expr, const char *file, int line);

#endif
