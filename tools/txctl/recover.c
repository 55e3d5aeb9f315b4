/*
 * tools/txctl/recover.c - txctl recover: ask whoever has the node open for a recovery pass.
 *
 * txctl cannot recover by itself: it does not know the resource managers. So the request goes
 * through the log, where it stays with uid, time and reason, and one of the living processes takes
 * it up.
 */
#include <inttypes.h>
#include <time.h>

#include "txctl.h"

enum { POLL_MS = 100 };

static int find_request(void *user, const hf_inspect_request *q)
{
    hf_inspect_request *wanted = user;

    if (q->number != wanted->number)
        return 0;
    *wanted = *q;
    return 1; /* no need to go on */
}

int wait_request(const struct call *call, hf_inspect *in, const char *verb,
                 hf_inspect_request *request)
{
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
    uint64_t end = now_ms() + (uint64_t)call->wait_s * 1000;

    for (;;) { /* bound: call->wait_s */
        int rc = hf_inspect_requests(in, find_request, request);

        if (rc < 0)
            return complain_of(rc, "read the requests of", call->node);
        if (request->state != 0 || now_ms() >= end)
            break;
        (void)nanosleep(&pause, NULL); /* cut short by a signal: looked at sooner */
    }
    if (request->state == 0 && call->wait_s > 0) {
        complain("%s: request %" PRIu64 " of %s was not taken up within %u s; it stays asked", verb,
                 request->number, call->node, call->wait_s);
        return FAILED;
    }
    if (request->state == 0)
        (void)printf("request %" PRIu64 ": asked\n", request->number);
    else if (request->incarnation == 0)
        (void)printf("request %" PRIu64 ": done by txctl\n", request->number);
    else
        (void)printf("request %" PRIu64 ": done by incarnation %" PRIu32 "\n", request->number,
                     request->incarnation);
    return DONE;
}

int recover(const struct call *call)
{
    hf_inspect_node node = {.size = sizeof(node)};
    hf_inspect_request request = {0};
    hf_inspect *in = NULL;
    int rc, code = open_node(call, &in);

    if (code != DONE)
        return code;
    rc = hf_inspect_get_node(in, &node);
    if (rc != HF_OK) {
        code = complain_of(rc, "read the node", call->node);
    } else if (node.alive == 0) {
        complain("recover: nobody has %s open, and recovery needs a process with its resource "
                 "managers registered: start the server; nothing was written",
                 call->node);
        code = REFUSED;
    } else {
        rc = hf_inspect_ask(in, HF_REQUEST_RECOVER, call->reason, &request.number);
        code = rc == HF_OK ? wait_request(call, in, "recover", &request)
                           : complain_of(rc, "write a request to", call->node);
    }
    hf_inspect_close(in);
    return code;
}
