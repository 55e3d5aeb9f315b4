/*
 * tools/txctl/txctl.h - what the files of txctl share.
 *
 * stdout is data, stderr is talk. A verb returns one of the exit codes below; they are interface.
 */
#ifndef TXCTL_H
#define TXCTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "holdfast/inspect.h"

enum { DONE = 0, FAILED = 1, USAGE = 2, NOT_FOUND = 3, ATTENTION = 4, REFUSED = 5 };
enum { JSON_SCHEMA = 1 };

/* A command line, parsed. */
struct call {
    const char *node;
    const char *xid;  /* the argument of tx show, tx why and tx forget */
    const char *file; /* the argument of config check */
    const char *reason;
    unsigned wait_s; /* --wait, or the verb's default */
    bool json;
    bool history;
    bool requests;
    bool moved;
    bool copied;
    bool yes;
};

int status(const struct call *call);
int tx_list(const struct call *call);
int tx_show(const struct call *call);
int tx_why(const struct call *call);
int tx_forget(const struct call *call);
int log_verify(const struct call *call);
int log_adopt(const struct call *call);
int recover(const struct call *call);
int config_check(const struct call *call);

/* -- recover.c ---------------------------------------------------------------------------- */

/* Wait for request->number until it is done, or call->wait_s is over; say which. Fills it in. */
int wait_request(const struct call *call, hf_inspect *in, const char *verb,
                 hf_inspect_request *request);

/* -- report.c: how things are said ------------------------------------------------------- */

/* A line on stderr: "txctl: ...". */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void out_of_memory(void);
/* The exit code for a result code of the library. */
int exit_of(int code);
/* Say that something failed, and why: hf_error_last(). Returns the exit code. */
int complain_of(int code, const char *attempt, const char *node);

/* Times since 1970 in milliseconds, for people. */
enum { TEXT_SIZE = 160 };
uint64_t now_ms(void);
const char *age_text(uint64_t ms, char buf[TEXT_SIZE]);  /* "3m" */
const char *time_text(uint64_t ms, char buf[TEXT_SIZE]); /* "2026-11-20 15:27:01 UTC (3m ago)" */
const char *size_text(uint64_t bytes, char buf[TEXT_SIZE]);
/* Text from the log, with what a terminal could act on taken out. */
const char *plain_text(const char *text, char buf[TEXT_SIZE]);

/* Cells, row by row, aligned when they are printed. The first row is the heading. */
enum { TABLE_COLUMNS_MAX = 8 };
struct table {
    size_t columns;
    size_t cells;
    char **cell;
};
void table_head(struct table *t, const char *const *names); /* ends with NULL */
void table_add(struct table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* With a title, if it is not NULL; "title: none" for a table with nothing but its heading. */
void table_print(const struct table *t, const char *title, FILE *to);
void table_free(struct table *t);

/* As jansson's, but they never fail and take any text. */
json_t *json_text(const char *text);
json_t *json_count(uint64_t n);
json_t *json_time(uint64_t ms); /* null for 0 */
json_t *json_document(void);    /* with its schema */
void json_put(json_t *object, const char *name, json_t *value);
void json_print(json_t *document); /* frees it, too */

/* -- node.c: what is read ------------------------------------------------------------------ */

/* Open the node, and survive what a damaged log does to LMDB. Complains. */
int open_node(const struct call *call, hf_inspect **ret);

/* The incarnations that the log knows, in order. */
struct incarnations {
    hf_inspect_incarnation *list;
    size_t count;
};
int read_incarnations(hf_inspect *in, struct incarnations *ret);
void free_incarnations(struct incarnations *i);
bool is_alive(const struct incarnations *i, uint32_t number);

/* What an operator wants to know of a transaction first. */
enum tx_state { IN_DOUBT, HEURISTIC, IN_PROGRESS, FINISHED, LEFT, TX_STATES };
enum tx_state tx_state(const hf_inspect_tx *tx, const struct incarnations *living);
const char *tx_state_name(enum tx_state state);
unsigned tx_count(const hf_inspect_tx *tx, uint32_t branch_state);

const char *branch_state_name(uint32_t state);
const char *xa_code_name(int code); /* "?" if it is not one of [XA] */

#endif
