/*
 * What: a program in TX style over kv, PostgreSQL and MariaDB, put together by configuration alone:
 *       commits and rolls back everywhere; goes on without a server that is down when it starts,
 *       and takes it in when it is there; a child after fork opens all of it for itself.
 * How:  its own transactions, and sessions outside of them that count rows. Run by with_mariadb.sh
 *       and with_postgres.sh, which have the servers for it.
 */
#include <holdfast/mariadb.h>
#include <holdfast/postgres.h>
#include <libpq-fe.h>
#include <limits.h>
#include <mysql.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "holdfast/config.h"
#include "holdfast/kv.h"
#include "tx.h"

enum { ROUNDS = 10, TRIES = 1200 };

/* ThreadSanitizer knows no threads in a child of a process that has some. */
#ifdef __SANITIZE_THREAD__
#define BACKGROUND "background = no\n"
#else
#define BACKGROUND ""
#endif

static unsigned passed;
static char told[16384]; /* to the host */

static void check(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "tx over databases: %s; last error: %s; told:\n%s", what,
                hf_error_last()->text, told);
        exit(1);
    }
    passed++;
}

static void tell(void *user, int level, const char *text)
{
    size_t used = strlen(told);

    (void)user, (void)level;
    snprintf(told + used, sizeof(told) - used, "%s\n", text);
}

/* -- the servers, from outside ----------------------------------------------------------------- */

static const char *environment(const char *name)
{
    const char *value = getenv(name);

    check(value != NULL, "run it by with_mariadb.sh and with_postgres.sh");
    return value;
}

/* What only PostgreSQL's parent can do. */
static void ask(const char *what)
{
    char path[PATH_MAX], answer[32] = "";
    FILE *to, *from;

    snprintf(path, sizeof(path), "%s/ask", environment("HF_PG_DIR"));
    to = fopen(path, "w");
    snprintf(path, sizeof(path), "%s/answer", environment("HF_PG_DIR"));
    from = fopen(path, "r");
    check(to != NULL && from != NULL, "the server's parent");
    fprintf(to, "%s\n", what);
    check(fclose(to) == 0, "ask the server's parent");
    check(fgets(answer, sizeof(answer), from) != NULL && strcmp(answer, "done\n") == 0, what);
    (void)fclose(from);
}

static int pg_number(const char *sql)
{
    char info[PATH_MAX];
    PGconn *conn;
    PGresult *result;
    int number = 0;

    snprintf(info, sizeof(info), "host=%s user=hf dbname=one", environment("HF_PG_DIR"));
    conn = PQconnectdb(info);
    check(PQstatus(conn) == CONNECTION_OK, "connect to PostgreSQL");
    result = PQexec(conn, sql);
    if (PQntuples(result) > 0)
        number = atoi(PQgetvalue(result, 0, 0));
    else
        check(PQresultStatus(result) == PGRES_COMMAND_OK, sql);
    PQclear(result);
    PQfinish(conn);
    return number;
}

static int my_number(const char *sql)
{
    MYSQL *conn = mysql_init(NULL);
    char socket[PATH_MAX];
    MYSQL_RES *rows;
    MYSQL_ROW row;
    int number = 0;

    snprintf(socket, sizeof(socket), "%s/socket", environment("HF_TEST_MARIADB_DIR"));
    check(conn != NULL && mysql_real_connect(conn, NULL, "root", NULL, NULL, 0, socket, 0) != NULL,
          "connect to MariaDB");
    check(mysql_query(conn, sql) == 0, sql);
    rows = mysql_store_result(conn);
    row = rows != NULL ? mysql_fetch_row(rows) : NULL;
    if (row != NULL && row[0] != NULL)
        number = atoi(row[0]);
    mysql_free_result(rows);
    mysql_close(conn);
    return number;
}

/* -- the program ------------------------------------------------------------------------------- */

static void configure(const char *dir)
{
    char path[PATH_MAX], secret[PATH_MAX];
    FILE *file;

    snprintf(secret, sizeof(secret), "%s/orders", dir);
    file = fopen(secret, "w");
    check(file != NULL, "write an open string");
    fprintf(file, "%s;database=shop\n", environment("HF_TEST_MARIADB"));
    check(fclose(file) == 0 && chmod(secret, 0600) == 0, "write an open string");
    snprintf(path, sizeof(path), "%s/tx.ini", dir);
    file = fopen(path, "w");
    check(file != NULL, "write the configuration");
    fprintf(file,
            "[holdfast]\n" BACKGROUND "node = %s/node\nrecover_ms = 20\nrecover_max_ms = 100\n"
            "[rm stock]\ntype = kv\nopen = dir=%s/stock\n"
            "[rm ledger]\ntype = postgres\nopen = host=%s user=hf dbname=one\n"
            "[rm orders]\ntype = mariadb\nopen_file = %s\nrank = 1\n",
            dir, dir, environment("HF_PG_DIR"), secret);
    check(fclose(file) == 0, "write the configuration");
    check(setenv("HOLDFAST_CONFIG", path, 1) == 0, "set the environment");
}

static void order(int number)
{
    char sql[64];
    int rmid;

    check(hf_opened_rmid("orders", &rmid) == HF_OK, "the rmid of MariaDB");
    snprintf(sql, sizeof(sql), "INSERT INTO orders VALUES (%d)", number);
    check(mysql_query(hf_mariadb_conn(rmid), sql) == 0, sql);
}

static void post(int number)
{
    char sql[64];
    PGresult *result;
    int rmid;

    check(hf_opened_rmid("ledger", &rmid) == HF_OK, "the rmid of PostgreSQL");
    snprintf(sql, sizeof(sql), "INSERT INTO ledger VALUES (%d)", number);
    result = (PGresult *)hf_postgres_exec(rmid, sql);
    check(PQresultStatus(result) == PGRES_COMMAND_OK, sql);
    PQclear(result);
}

static void take(int number)
{
    char key[16];
    int rmid, size = snprintf(key, sizeof(key), "%d", number);

    check(hf_opened_rmid("stock", &rmid) == HF_OK, "the rmid of kv");
    check(hf_kv_put(rmid, key, (size_t)size, "1", 1) == HF_OK, "kv");
}

static int count_key(void *user, const void *key, size_t key_size, const void *value, size_t size)
{
    int *count = user;

    (void)key, (void)key_size, (void)value, (void)size;
    ++*count;
    return 0;
}

/* What is committed everywhere, and nothing is left prepared. Not in a transaction. */
static void expect(int stock, int ledger, int orders)
{
    int rmid, keys = 0;

    check(tx_begin() == TX_OK, "tx_begin"); /* a second phase behind the call is over after it */
    check(hf_opened_rmid("stock", &rmid) == HF_OK, "the rmid of kv");
    check(hf_kv_each(rmid, "", 0, count_key, &keys) == HF_OK && keys == stock, "keys of kv");
    check(tx_rollback() == TX_OK, "tx_rollback");
    check(pg_number("SELECT count(*) FROM ledger") == ledger, "rows of PostgreSQL");
    check(pg_number("SELECT count(*) FROM pg_prepared_xacts") == 0, "prepared in PostgreSQL");
    check(my_number("SELECT count(*) FROM shop.orders") == orders, "rows of MariaDB");
    check(my_number("XA RECOVER") == 0, "prepared in MariaDB");
}

static void clear(void)
{
    int rmid;

    check(tx_begin() == TX_OK, "tx_begin");
    check(hf_opened_rmid("stock", &rmid) == HF_OK, "the rmid of kv");
    for (int i = 0; i < ROUNDS; i++) {
        char key[16];
        int size = snprintf(key, sizeof(key), "%d", i);
        int rc = hf_kv_delete(rmid, key, (size_t)size);

        check(rc == HF_OK || rc == HF_ENOTFOUND, "kv");
    }
    check(tx_commit() == TX_OK, "tx_commit");
    (void)pg_number("DELETE FROM ledger");
    (void)my_number("DELETE FROM shop.orders");
}

static void work_everywhere(COMMIT_RETURN when_return)
{
    check(tx_open() == TX_OK, "tx_open");
    check(tx_set_transaction_control(TX_CHAINED) == TX_OK, "chained");
    check(tx_set_commit_return(when_return) == TX_OK, "tx_set_commit_return");
    check(tx_begin() == TX_OK, "tx_begin");
    for (int i = 0; i < ROUNDS; i++) {
        take(i);
        post(i);
        order(i);
        check((i % 2 == 0 ? tx_commit() : tx_rollback()) == TX_OK, "a completion");
    }
    check(tx_set_transaction_control(TX_UNCHAINED) == TX_OK, "unchained");
    check(tx_rollback() == TX_OK, "the last one");
    expect(ROUNDS / 2, ROUNDS / 2, ROUNDS / 2);
    clear();
    check(tx_close() == TX_OK, "tx_close");
}

/* PostgreSQL is down when the program starts. */
static void start_without_one(void)
{
    const struct timespec pause = {.tv_nsec = 50000000};
    bool there = false;
    int rmid;

    ask("stop");
    told[0] = '\0';
    check(tx_open() == TX_OK, "tx_open");
    check(strstr(told, "cannot open ledger") != NULL, "it is named to the host");
    check(tx_begin() == TX_OK, "tx_begin");
    check(hf_opened_rmid("ledger", &rmid) == HF_ERM, "it is not open");
    take(0);
    order(0);
    check(tx_commit() == TX_OK, "a commit without it");
    ask("start");
    for (int i = 0; i < TRIES && !there; i++) { /* a minute */
        check(tx_begin() == TX_OK, "tx_begin");
        there = hf_opened_rmid("ledger", &rmid) == HF_OK;
        check(tx_rollback() == TX_OK, "tx_rollback");
        (void)nanosleep(&pause, NULL);
    }
    check(there && strstr(told, "ledger is open now") != NULL, "it takes part when it is up");
    check(tx_begin() == TX_OK, "tx_begin");
    take(1);
    post(1);
    order(1);
    check(tx_commit() == TX_OK, "a commit with it");
    expect(2, 1, 2);
    clear();
    check(tx_close() == TX_OK, "tx_close");
}

/* In a child; the parent is in a transaction. */
static int child(void)
{
    int rmid;

    check(tx_open() == TX_OK, "tx_open in a child");
    check(tx_begin() == TX_OK, "tx_begin in a child");
    check(hf_opened_rmid("stock", &rmid) == HF_ERM, "the kv store is the parent's");
    post(5);
    order(5);
    check(tx_commit() == TX_OK, "tx_commit in a child");
    check(tx_begin() == TX_OK, "tx_begin in a child");
    post(6);
    order(6);
    check(tx_rollback() == TX_OK, "tx_rollback in a child");
    check(tx_close() == TX_OK, "tx_close in a child");
    return 0;
}

static void fork_in_a_transaction(void)
{
    check(tx_open() == TX_OK, "tx_open");
    check(tx_begin() == TX_OK, "tx_begin");
    take(7);
    post(7);
    order(7);
    for (int i = 0; i < 2; i++) {
        int status = 1;
        pid_t pid = fork();

        check(pid >= 0, "fork");
        if (pid == 0)
            _exit(child());
        check(waitpid(pid, &status, 0) == pid && status == 0, "the child");
    }
    post(8); /* the sessions are as they were */
    order(8);
    check(tx_commit() == TX_OK, "tx_commit after the child");
    expect(1, 4, 4);
    clear();
    check(tx_close() == TX_OK, "tx_close");
}

int main(void)
{
    char dir[] = "/tmp/holdfast-databases-XXXXXX", command[64];

    check(mkdtemp(dir) != NULL, "make a directory");
    (void)pg_number("CREATE TABLE ledger (number int)");
    (void)my_number("CREATE DATABASE shop");
    (void)my_number("CREATE TABLE shop.orders (number int) ENGINE=InnoDB");
    configure(dir);
    hf_opened_log(tell, NULL);
    work_everywhere(TX_COMMIT_COMPLETED);
    work_everywhere(TX_COMMIT_DECISION_LOGGED);
    start_without_one();
    fork_in_a_transaction();
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    check(system(command) == 0, "remove the directory");
    printf("tx over databases: %u passed, 0 failed\n", passed);
    return 0;
}
