/*
 * tools/bank/bank_servers.h - the supervisor's end of bank_servers.sh, which runs the two servers.
 *
 * One command at a time: servers_ask(), then servers_hear() when `answers` is readable.
 */
#ifndef BANK_SERVERS_H
#define BANK_SERVERS_H

#include <stdbool.h>
#include <sys/types.h>

struct servers {
    pid_t pid;   /* of the script; 0: none */
    int asks;    /* its stdin */
    int answers; /* its stdout */
};

enum server { SERVER_POSTGRES, SERVER_MARIADB, SERVER_COUNT };

extern const char *const server_titles[SERVER_COUNT]; /* for people */

/*
 * Start the script for the bank in dir; its stderr goes to the end of log_path. It says "ok", to be
 * heard, when both servers serve; they end with this process, however that ends. False: errno says
 * why.
 */
bool servers_start(struct servers *s, const char *script, const char *dir, const char *log_path);

/* Send a command: "kill", "immediate" (PostgreSQL only) or "start". False: the script is gone. */
bool servers_ask(const struct servers *s, const char *verb, enum server which);

/* Read an answer; blocks until it is there. True: "ok". False: "failed", or none, or a signal. */
bool servers_hear(const struct servers *s);

/* End the servers and wait until they are gone. */
void servers_end(struct servers *s);

#endif
