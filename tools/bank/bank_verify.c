/*
 * tools/bank/bank_verify.c - is the money still there? Judges what a bank left behind.
 *
 * It shares no code with the bank: it reads the list of transfers again by itself, works out what
 * every balance has to be, and looks at both stores and the node from outside: at the node and at
 * key-value stores through the public headers (verify_kv.c), at databases through their own clients
 * alone (verify_sql.c).
 *
 *   V1  A done key is in both stores or in neither, with one XID; it names a transfer of the list.
 *   V2  Every XID is of this node, and no two transfers have the same.
 *   V3  An acknowledged transfer is done, and was acknowledged once. In full mode every transfer
 *       is done.
 *   V4  An account is in one store, with 1000 and the sum of the done transfers; it is in the list.
 *   V5  All balances together are 1000 for each account.
 *   V6  Nothing is in doubt: no branch is prepared in a store, no decision waits in the log.
 *   V7  The log is whole.
 *
 * It never stops at the first violation: each is one line "verify: ...". The last line on success
 * is "verify: ok: ...". Exit status: 0 good, 1 violated or not readable, 2 wrong options or list.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "holdfast/inspect.h"

#include "bank_verify.h"

enum { TEXT_MAX = 40, STORES = VERIFY_STORES, OPENING = 1000, SHOWN_MAX = 100 };
enum { EXIT_VIOLATED = 1, EXIT_USAGE = 2 };

const char *const verify_names[STORES] = {"east", "west"};

struct entry {
    char id[TEXT_MAX + 1];
    char from[TEXT_MAX + 1];
    char to[TEXT_MAX + 1];
    long long amount;
    size_t line;                        /* of the list */
    char xid[STORES][HF_XID_TEXT_SIZE]; /* of the done key, "" if there is none */
    bool acked;
};

struct account {
    char name[TEXT_MAX + 1];
    __int128 expected;
    long long found[STORES];
    bool seen[STORES];
};

struct audit {
    const char *csv, *acked, *dir;
    bool partial;
    struct entry *entries; /* sorted by id */
    size_t entry_count, entry_room;
    struct account *accounts; /* sorted by name */
    size_t account_count;
    size_t done, acked_count, violations;
};

void violation(struct audit *a, const char *format, ...)
{
    va_list args;

    if (a->violations++ >= SHOWN_MAX)
        return;
    va_start(args, format);
    printf("verify: ");
    vprintf(format, args);
    printf("\n");
    va_end(args);
}

static void *need(void *memory)
{
    if (memory == NULL) {
        fprintf(stderr, "bank_verify: out of memory\n");
        exit(EXIT_VIOLATED);
    }
    return memory;
}

/* -- the list of transfers ------------------------------------------------------------------- */

static bool is_name(const char *text, size_t size)
{
    if (size < 1 || size > TEXT_MAX)
        return false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];

        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '_' || c == '-'))
            return false;
    }
    return true;
}

/* The next field up to a comma; the last one must end the line. */
static bool cut_name(const char **at, char ret[TEXT_MAX + 1])
{
    size_t size = strcspn(*at, ",");

    if ((*at)[size] != ',' || !is_name(*at, size))
        return false;
    memcpy(ret, *at, size);
    ret[size] = '\0';
    *at += size + 1;
    return true;
}

static bool parse_entry(const char *line, struct entry *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (!cut_name(&line, ret->id) || !cut_name(&line, ret->from) || !cut_name(&line, ret->to))
        return false;
    for (const char *p = line; *p != '\0'; p++)
        if (*p < '0' || *p > '9' || __builtin_mul_overflow(ret->amount, 10, &ret->amount) ||
            __builtin_add_overflow(ret->amount, *p - '0', &ret->amount))
            return false;
    return ret->amount > 0;
}

static int compare_entries(const void *x, const void *y)
{
    const struct entry *e = x, *f = y;
    int order = strcmp(e->id, f->id);

    return order != 0 ? order : (e->line > f->line) - (e->line < f->line);
}

static int compare_accounts(const void *x, const void *y)
{
    return strcmp(((const struct account *)x)->name, ((const struct account *)y)->name);
}

static int compare_texts(const void *x, const void *y)
{
    return strcmp(*(const char *const *)x, *(const char *const *)y);
}

static int compare_id(const void *id, const void *entry)
{
    return strcmp(id, ((const struct entry *)entry)->id);
}

static struct entry *find_entry(const struct audit *a, const char *id)
{
    return bsearch(id, a->entries, a->entry_count, sizeof(*a->entries), compare_id);
}

static int compare_name(const void *name, const void *account)
{
    return strcmp(name, ((const struct account *)account)->name);
}

static struct account *find_account(const struct audit *a, const char *name)
{
    return bsearch(name, a->accounts, a->account_count, sizeof(*a->accounts), compare_name);
}

static int refuse_line(const struct audit *a, size_t number, const char *why)
{
    fprintf(stderr, "bank_verify: %s:%zu: %s\n", a->csv, number, why);
    return EXIT_USAGE;
}

/* Without its end, "\n" or "\r\n". False: there is a zero byte inside. */
static bool trim(char *line, ssize_t size)
{
    size_t length = strlen(line);
    bool whole = length == (size_t)size;

    if (length > 0 && line[length - 1] == '\n')
        line[--length] = '\0';
    if (length > 0 && line[length - 1] == '\r')
        line[--length] = '\0';
    return whole;
}

/* NULL, or what is wrong with line `number`. A transfer goes to the end of the list. */
static const char *read_line(struct audit *a, char *line, ssize_t size, size_t number)
{
    struct entry *entry;

    if (!trim(line, size))
        return "a zero byte";
    if (number == 1)
        return strcmp(line, "id,from,to,amount") == 0 ? NULL : "not the header id,from,to,amount";
    if (a->entry_count == a->entry_room) {
        a->entry_room *= 2;
        a->entries = need(realloc(a->entries, a->entry_room * sizeof(*a->entries)));
    }
    entry = &a->entries[a->entry_count++];
    if (!parse_entry(line, entry))
        return "not a transfer: id,from,to,amount";
    entry->line = number;
    return NULL;
}

static int read_entries(struct audit *a, FILE *file)
{
    const char *why = NULL;
    char *line = NULL;
    size_t room = 0, number = 0;
    ssize_t size;

    a->entry_room = 1000;
    a->entries = need(calloc(a->entry_room, sizeof(*a->entries)));
    while (why == NULL && (size = getline(&line, &room, file)) >= 0)
        why = read_line(a, line, size, ++number);
    free(line);
    if (number == 0)
        return refuse_line(a, 1, "not the header id,from,to,amount");
    return why == NULL ? 0 : refuse_line(a, number, why);
}

static void collect_accounts(struct audit *a)
{
    size_t count = 0;

    a->accounts = need(calloc(2 * a->entry_count + 1, sizeof(*a->accounts)));
    for (size_t i = 0; i < a->entry_count; i++) {
        memcpy(a->accounts[2 * i].name, a->entries[i].from, sizeof(a->entries[i].from));
        memcpy(a->accounts[2 * i + 1].name, a->entries[i].to, sizeof(a->entries[i].to));
    }
    qsort(a->accounts, 2 * a->entry_count, sizeof(*a->accounts), compare_accounts);
    for (size_t i = 0; i < 2 * a->entry_count; i++)
        if (count == 0 || strcmp(a->accounts[count - 1].name, a->accounts[i].name) != 0)
            a->accounts[count++] = a->accounts[i];
    a->account_count = count;
    for (size_t i = 0; i < count; i++)
        a->accounts[i].expected = OPENING;
}

static int read_list(struct audit *a)
{
    FILE *file = fopen(a->csv, "r");
    int status;

    if (file == NULL) {
        fprintf(stderr, "bank_verify: %s: %s\n", a->csv, strerror(errno));
        return EXIT_VIOLATED;
    }
    status = read_entries(a, file);
    (void)fclose(file); /* only read from */
    if (status != 0)
        return status;
    collect_accounts(a);
    qsort(a->entries, a->entry_count, sizeof(*a->entries), compare_entries);
    for (size_t i = 1; i < a->entry_count; i++)
        if (strcmp(a->entries[i - 1].id, a->entries[i].id) == 0)
            return refuse_line(a, a->entries[i].line, "another line has this id");
    return 0;
}

/* -- the stores ------------------------------------------------------------------------------ */

void verify_found_done(struct audit *a, int store, const char *id, const char *value, size_t size)
{
    struct entry *entry = find_entry(a, id);

    if (entry == NULL)
        violation(a, "%s: done/%s is not in the list", verify_names[store], id);
    else if (size == 0 || size >= HF_XID_TEXT_SIZE)
        violation(a, "%s: done/%s holds no XID", verify_names[store], id);
    else
        snprintf(entry->xid[store], HF_XID_TEXT_SIZE, "%.*s", (int)size, value);
}

void verify_found_account(struct audit *a, int store, const char *name, const char *value,
                          size_t size)
{
    struct account *account = find_account(a, name);
    char text[24], back[24];

    if (account == NULL) {
        violation(a, "%s: acct/%s is not in the list", verify_names[store], name);
        return;
    }
    snprintf(text, sizeof(text), "%.*s", (int)(size < sizeof(text) ? size : sizeof(text) - 1),
             value);
    account->found[store] = strtoll(text, NULL, 10);
    snprintf(back, sizeof(back), "%lld", account->found[store]);
    if (strcmp(text, back) != 0)
        violation(a, "%s: acct/%s is not a number: %s", verify_names[store], name, text);
    account->seen[store] = true;
}

/* -- the node -------------------------------------------------------------------------------- */

static int found_decision(void *user, const hf_inspect_tx *tx)
{
    char text[HF_XID_TEXT_SIZE];

    (void)hf_xid_format(&tx->xid, text); /* "foreign" says enough */
    violation(user, "node: still in the log: %s, %s, %u branches", text,
              hf_outcome_name((int)tx->outcome), tx->branch_count);
    return 0;
}

/* V6 and V7. Writes the identity for V2, or "". */
static void read_node(struct audit *a, char ret_identity[33])
{
    hf_inspect_node node = {.size = sizeof(node)};
    hf_inspect *in = NULL;
    char dir[4096];
    int code = HF_ELIMIT;

    ret_identity[0] = '\0';
    if ((size_t)snprintf(dir, sizeof(dir), "%s/node", a->dir) < sizeof(dir))
        code = hf_inspect_open(dir, &in);
    if (code == HF_OK)
        code = hf_inspect_verify(in);
    if (code == HF_OK)
        code = hf_inspect_transactions(in, found_decision, a);
    if (code == HF_OK)
        code = hf_inspect_get_node(in, &node);
    if (code == HF_OK)
        memcpy(ret_identity, node.identity, sizeof(node.identity));
    else
        violation(a, "node: %s: %s", hf_strerror(code), hf_error_last()->text);
    hf_inspect_close(in);
}

/* -- the judgement --------------------------------------------------------------------------- */

/* V1 and V3 for one transfer; a done one is reckoned into what its accounts should hold. */
static void judge_entry(struct audit *a, const struct entry *e)
{
    bool in_east = e->xid[0][0] != '\0', in_west = e->xid[1][0] != '\0';

    if (in_east != in_west)
        violation(a, "%s is done in %s only", e->id, verify_names[in_west]);
    else if (strcmp(e->xid[0], e->xid[1]) != 0)
        violation(a, "%s was done by %s in east and by %s in west", e->id, e->xid[0], e->xid[1]);
    if (!in_east && !in_west && e->acked)
        violation(a, "%s was acknowledged and is not done", e->id);
    else if (!in_east && !in_west && !a->partial)
        violation(a, "%s is not done", e->id);
    if (!in_east && !in_west)
        return;
    a->done++;
    find_account(a, e->from)->expected -= e->amount;
    find_account(a, e->to)->expected += e->amount;
}

/* V2. Both stores agree on the XID, or V1 has said so: one of them is enough here. */
static void judge_xids(struct audit *a, const char *identity)
{
    const char **texts = need(calloc(a->entry_count + 1, sizeof(*texts)));
    size_t count = 0;
    XID xid;

    for (size_t i = 0; i < a->entry_count; i++) {
        const char *text = a->entries[i].xid[a->entries[i].xid[0][0] == '\0'];

        if (text[0] == '\0')
            continue;
        if (hf_xid_parse(text, &xid) != HF_OK)
            violation(a, "%s was done by what is no XID: %s", a->entries[i].id, text);
        else if (identity[0] != '\0' && strncmp(text, identity, 32) != 0)
            violation(a, "%s was done by another node: %s", a->entries[i].id, text);
        texts[count++] = text;
    }
    qsort(texts, count, sizeof(*texts), compare_texts);
    for (size_t i = 1; i < count; i++)
        if (strcmp(texts[i - 1], texts[i]) == 0)
            violation(a, "two transfers were done by %s", texts[i]);
    free(texts);
}

/* V4 and V5. Before the first transfer of a partial run accounts may still be missing. */
static void judge_accounts(struct audit *a)
{
    __int128 total = 0, due = 0;

    for (size_t i = 0; i < a->account_count; i++) {
        const struct account *c = &a->accounts[i];
        long long balance = c->seen[0] ? c->found[0] : c->found[1];

        if (!c->seen[0] && !c->seen[1]) {
            if (!a->partial || a->done > 0)
                violation(a, "account %s is missing", c->name);
            continue;
        }
        if (c->seen[0] && c->seen[1])
            violation(a, "account %s is in both stores", c->name);
        if (balance != c->expected)
            violation(a, "account %s holds %lld, not %lld", c->name, balance,
                      (long long)c->expected);
        total += balance;
        due += OPENING;
    }
    if (total != due)
        violation(a, "the total is %lld, not %lld", (long long)total, (long long)due);
}

static int read_acknowledged(struct audit *a)
{
    FILE *file = a->acked == NULL ? NULL : fopen(a->acked, "r");
    char *line = NULL;
    size_t room = 0;

    if (a->acked == NULL)
        return 0;
    if (file == NULL) {
        fprintf(stderr, "bank_verify: %s: %s\n", a->acked, strerror(errno));
        return EXIT_VIOLATED;
    }
    while (getline(&line, &room, file) >= 0) {
        struct entry *entry;

        line[strcspn(line, "\n")] = '\0';
        entry = strlen(line) <= TEXT_MAX ? find_entry(a, line) : NULL;
        if (entry == NULL)
            violation(a, "%s was acknowledged and is not in the list", line);
        else if (entry->acked)
            violation(a, "%s was acknowledged twice", line);
        else
            entry->acked = true;
        a->acked_count++;
    }
    free(line);
    (void)fclose(file); /* only read from */
    return 0;
}

static int audit(struct audit *a)
{
    char identity[33];
    int status = read_list(a);

    if (status == 0)
        status = read_acknowledged(a);
    if (status != 0)
        return status;
    for (int i = 0; i < STORES; i++)
        verify_read_store(a, a->dir, i);
    read_node(a, identity);
    for (size_t i = 0; i < a->entry_count; i++)
        judge_entry(a, &a->entries[i]);
    judge_xids(a, identity);
    judge_accounts(a);
    if (a->violations > 0) {
        printf("verify: failed: %zu violations\n", a->violations);
        return EXIT_VIOLATED;
    }
    printf("verify: ok: %zu of %zu transfers done, each once, %zu acknowledged; %zu accounts, "
           "total %zu; "
           "nothing in doubt\n",
           a->done, a->entry_count, a->acked_count, a->account_count, a->account_count * OPENING);
    return 0;
}

static int usage(FILE *out)
{
    fputs("usage: bank_verify [--partial] [--acked FILE] --csv FILE DIR\n"
          "  --csv FILE     the transfers that the bank in DIR was given\n"
          "  --acked FILE   ids that were acknowledged, one on a line\n"
          "  --partial      the bank is not through with the list\n",
          out);
    return out == stdout ? 0 : EXIT_USAGE;
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        {"partial", 0, NULL, 'p'}, {"acked", 1, NULL, 'a'}, {"csv", 1, NULL, 'c'},
        {"help", 0, NULL, 'h'},    {NULL, 0, NULL, 0},
    };
    struct audit a = {0};
    int letter, status;

    while ((letter = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (letter) {
        case 'p':
            a.partial = true;
            break;
        case 'a':
            a.acked = optarg;
            break;
        case 'c':
            a.csv = optarg;
            break;
        case 'h':
            return usage(stdout);
        default:
            return usage(stderr);
        }
    }
    if (argc - optind != 1 || a.csv == NULL)
        return usage(stderr);
    a.dir = argv[optind];
    status = audit(&a);
    free(a.entries);
    free(a.accounts);
    return status;
}
