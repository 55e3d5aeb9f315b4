/*
 * What: a program in textbook TX style over three kinds of store: kv, PostgreSQL and Berkeley DB,
 *       put together by configuration alone.
 * How:  it opens, chains ten transactions of which every second is rolled back, closes, and looks
 *       at the stores: with PostgreSQL and kv; with Berkeley DB beside them; and with phase two
 *       behind the call. Run by with_postgres.sh, which has a server for it.
 */
#include <holdfast/postgres.h>
#include <libpq-fe.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "holdfast/config.h"
#include "holdfast/kv.h"
#include "tx.h"

enum { ROUNDS = 10 };

static unsigned passed;

static void check(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "tx over three stores: %s; last error: %s\n", what, hf_error_last()->text);
        exit(1);
    }
    passed++;
}

static void write_config(const char *dir, bool berkeley)
{
    const char *server = getenv("HF_PG_DIR");
    char path[PATH_MAX];
    FILE *file;

    check(server != NULL, "HF_PG_DIR is not set: run it by with_postgres.sh");
    snprintf(path, sizeof(path), "%s/bdb", dir);
    check(mkdir(path, 0700) == 0, "make a directory");
    snprintf(path, sizeof(path), "%s/tx.ini", dir);
    file = fopen(path, "w");
    check(file != NULL, "write the configuration");
    fprintf(file,
            "[holdfast]\nnode = %s/node\nlog = stderr\n"
            "[rm stock]\ntype = kv\nopen = dir=%s/stock\n"
            "[rm ledger]\ntype = postgres\nopen = host=%s user=hf dbname=one\n",
            dir, dir, server);
    if (berkeley)
        fprintf(file,
                "[rm archive]\nlibrary = libdb-5.3.so\nsymbol = db_xa_switch\nrmid = process\n"
                "open = %s/bdb\n",
                dir);
    check(fclose(file) == 0, "write the configuration");
    check(setenv("HOLDFAST_CONFIG", path, 1) == 0, "set the environment");
}

/* A statement in the thread's transaction; the first number of its answer, or 0. */
static int sql(const char *format, ...)
{
    char command[256];
    PGresult *result;
    int rmid, number = 0;
    va_list args;

    va_start(args, format);
    vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    check(hf_opened_rmid("ledger", &rmid) == HF_OK, "the rmid of PostgreSQL");
    result = (PGresult *)hf_postgres_exec(rmid, command);
    check(PQresultStatus(result) == PGRES_COMMAND_OK || PQresultStatus(result) == PGRES_TUPLES_OK,
          command);
    if (PQntuples(result) > 0)
        number = atoi(PQgetvalue(result, 0, 0));
    PQclear(result);
    return number;
}

static void work(int number)
{
    char key[16];
    int rmid, size = snprintf(key, sizeof(key), "%d", number);

    check(hf_opened_rmid("stock", &rmid) == HF_OK, "the rmid of kv");
    check(hf_kv_put(rmid, key, (size_t)size, "1", 1) == HF_OK, "kv");
    (void)sql("INSERT INTO ledger VALUES (%d)", number);
}

static int count_key(void *user, const void *key, size_t key_size, const void *value, size_t size)
{
    int *count = user;

    (void)key, (void)key_size, (void)value, (void)size;
    ++*count;
    return 0;
}

static void run(const char *parent, const char *name, bool berkeley, COMMIT_RETURN when_return)
{
    char dir[PATH_MAX - 64];
    int rmid, keys = 0;

    snprintf(dir, sizeof(dir), "%s/%s", parent, name);
    check(mkdir(dir, 0700) == 0, "make a directory");
    write_config(dir, berkeley);
    check(tx_open() == TX_OK, "tx_open");
    check(tx_set_transaction_control(TX_CHAINED) == TX_OK, "chained");
    check(tx_set_commit_return(when_return) == TX_OK, "tx_set_commit_return");
    check(tx_begin() == TX_OK, "tx_begin");
    (void)sql("DROP TABLE IF EXISTS ledger");
    (void)sql("CREATE TABLE ledger (number int)");
    check(tx_commit() == TX_OK, "tx_commit");
    for (int i = 0; i < ROUNDS; i++) {
        work(i);
        check((i % 2 == 0 ? tx_commit() : tx_rollback()) == TX_OK, "a completion");
    }
    check(sql("SELECT count(*) FROM ledger WHERE number %% 2 = 0") == ROUNDS / 2, "committed");
    check(sql("SELECT count(*) FROM ledger WHERE number %% 2 = 1") == 0, "rolled back");
    check(sql("SELECT count(*) FROM pg_prepared_xacts") == 0, "prepared");
    check(hf_opened_rmid("stock", &rmid) == HF_OK, "the rmid of kv");
    check(hf_kv_each(rmid, "", 0, count_key, &keys) == HF_OK && keys == ROUNDS / 2, "keys");
    check(tx_set_transaction_control(TX_UNCHAINED) == TX_OK, "unchained");
    check(tx_rollback() == TX_OK, "the last one");
    check(tx_close() == TX_OK, "tx_close");
}

int main(void)
{
    char dir[] = "/tmp/holdfast-three-XXXXXX", command[64];

    check(mkdtemp(dir) != NULL, "make a directory");
    run(dir, "two", false, TX_COMMIT_COMPLETED);
    run(dir, "behind", false, TX_COMMIT_DECISION_LOGGED);
    run(dir, "three", true, TX_COMMIT_COMPLETED);
    run(dir, "bound", true, TX_COMMIT_DECISION_LOGGED);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    check(system(command) == 0, "remove the directory");
    printf("tx over three stores: %u passed, 0 failed\n", passed);
    return 0;
}
