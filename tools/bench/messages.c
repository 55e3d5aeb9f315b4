/*
 * tools/bench/messages.c - counts what goes to the servers, from outside of the client libraries.
 *
 * The program defines send() and recv() itself and exports them, as flushes.c does, so that libpq
 * and libmariadb find these before libc's. A message is a send(). A round trip is one or more of
 * them in a row and what is received after them: messages that are sent side by side, to two
 * servers, are one round trip, which is what a transaction waits for.
 */
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "bench.h"

static _Atomic uint64_t messages, round_trips;
static _Thread_local bool sent; /* since something was received */

struct messages messages_now(void)
{
    return (struct messages){.messages = atomic_load(&messages),
                             .round_trips = atomic_load(&round_trips)};
}

ssize_t send(int fd, const void *data, size_t size, int flags)
{
    atomic_fetch_add_explicit(&messages, 1, memory_order_relaxed);
    sent = true;
    return syscall(SYS_sendto, fd, data, size, flags, NULL, 0);
}

ssize_t recv(int fd, void *data, size_t size, int flags)
{
    ssize_t got = syscall(SYS_recvfrom, fd, data, size, flags, NULL, NULL);

    if (got > 0 && sent) {
        atomic_fetch_add_explicit(&round_trips, 1, memory_order_relaxed);
        sent = false;
    }
    return got;
}
