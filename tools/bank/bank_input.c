/*
 * tools/bank/bank_input.c - the command line and the list of transfers.
 *
 * The list is read whole and judged whole before the bank opens anything:
 *   I1  A broken line is named by file and number, and then not one transfer is run.
 *   I2  Ids are unique: the bank applies an id once, so a second one would be lost silently.
 *   I3  All amounts together leave room in 64 bits, so no order of transfers overflows a balance.
 * A list that we make is written beside its place and renamed: a kill leaves all of it or nothing.
 */
#include "bank_input.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char HEADER[] = "id,from,to,amount";

enum { EXIT_FILE = 1, EXIT_INPUT = 2 };

/* Most money the list may move: a balance starts with 1000 and must fit whatever comes first. */
static const int64_t SUM_MAX = INT64_MAX - 1000;

static const char USAGE[] =
    "usage: bank [options] DIR\n"
    "  --threads N      tellers that work at once (4)\n"
    "  --csv FILE       the transfers: a header line id,from,to,amount, then one line for each\n"
    "  --transfers N    without --csv: make this many (20000), once\n"
    "  --accounts N     ... between this many accounts (100)\n"
    "  --seed S         ... from this seed (1)\n"
    "  --csv-out FILE   ... and keep them here (DIR/transfers.csv)\n"
    "  --recover-only   recover, say so, and stop\n";

struct options {
    uint64_t threads, accounts, transfers, seed;
    const char *csv, *csv_out;
};

static int out_of_memory(void)
{
    fprintf(stderr, "bank: out of memory\n");
    return EXIT_FILE;
}

static int file_error(const char *path)
{
    fprintf(stderr, "bank: %s: %s\n", path, strerror(errno));
    return EXIT_FILE;
}

static int broken(const char *path, size_t line, const char *why)
{
    fprintf(stderr, "bank: %s:%zu: %s\n", path, line, why);
    return EXIT_INPUT;
}

/* -- making a list --------------------------------------------------------------------------- */

/* splitmix64: the same list from the same seed on every machine. */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static void print_transfers(FILE *out, const struct options *o)
{
    uint64_t state = o->seed;

    fprintf(out, "%s\n", HEADER);
    for (uint64_t i = 1; i <= o->transfers; i++) {
        uint64_t from = draw(&state) % o->accounts;
        uint64_t to = (from + 1 + draw(&state) % (o->accounts - 1)) % o->accounts;
        uint64_t amount = 1 + draw(&state) % 100;

        fprintf(out, "t%06" PRIu64 ",a%04" PRIu64 ",a%04" PRIu64 ",%" PRIu64 "\n", i, from, to,
                amount);
    }
}

static int make_file(const char *path, const struct options *o)
{
    char beside[4096];
    FILE *out;
    int bad;

    if ((size_t)snprintf(beside, sizeof(beside), "%s.new", path) >= sizeof(beside)) {
        errno = ENAMETOOLONG;
        return file_error(path);
    }
    out = fopen(beside, "w");
    if (out == NULL)
        return file_error(beside);
    print_transfers(out, o);
    bad = fflush(out) != 0 || fsync(fileno(out)) != 0;
    bad |= fclose(out) != 0;
    if (bad || rename(beside, path) != 0)
        return file_error(beside);
    return 0;
}

/* -- reading a list -------------------------------------------------------------------------- */

static bool take_name(const char *field, char ret_name[NAME_SIZE])
{
    size_t size =
        strspn(field, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

    if (size == 0 || size >= NAME_SIZE || field[size] != '\0')
        return false;
    memcpy(ret_name, field, size + 1);
    return true;
}

static bool take_amount(const char *field, int64_t *ret_amount)
{
    char *end;

    if (field[0] == '\0' || field[strspn(field, "0123456789")] != '\0')
        return false;
    errno = 0;
    *ret_amount = strtoll(field, &end, 10);
    return errno == 0 && *ret_amount > 0;
}

/* NULL, or what is wrong with the line. It is cut into its fields. */
static const char *take_line(char *line, struct transfer *ret)
{
    char *field[4] = {line};

    for (int i = 1; i < 4; i++) {
        field[i] = strchr(field[i - 1], ',');
        if (field[i] == NULL)
            return "fewer than four fields";
        *field[i]++ = '\0';
    }
    if (strchr(field[3], ',') != NULL)
        return "more than four fields";
    if (!take_name(field[0], ret->id))
        return "the id is not 1 to 40 characters of A-Z a-z 0-9 . _ -";
    if (!take_name(field[1], ret->from) || !take_name(field[2], ret->to))
        return "an account is not 1 to 40 characters of A-Z a-z 0-9 . _ -";
    if (!take_amount(field[3], &ret->amount))
        return "the amount is not a whole number from 1 to 9223372036854775807";
    return NULL;
}

/* Line ends go, "\r\n" too. A NUL inside makes the line longer than its string: broken. */
static bool trim_line(char *line, ssize_t size)
{
    size_t length = strlen(line);

    if (length != (size_t)size)
        return false;
    if (length > 0 && line[length - 1] == '\n')
        line[--length] = '\0';
    if (length > 0 && line[length - 1] == '\r')
        line[--length] = '\0';
    return true;
}

static struct transfer *next_slot(struct bank_input *in, size_t *room)
{
    struct transfer *more = in->transfers;

    if (in->transfer_count == *room) {
        *room = *room == 0 ? 1024 : *room * 2;
        more = realloc(in->transfers, *room * sizeof(*more));
        if (more == NULL)
            return NULL;
        in->transfers = more;
    }
    return &more[in->transfer_count];
}

/* NULL, or what is wrong with line `number`; the first one is the header and holds no transfer. */
static const char *judge(char *line, ssize_t size, size_t number, struct transfer *ret,
                         int64_t *sum)
{
    const char *why;

    if (!trim_line(line, size))
        return "a zero byte";
    if (number == 1)
        return strcmp(line, HEADER) == 0 ? NULL : "the header line is not id,from,to,amount";
    why = take_line(line, ret);
    if (why == NULL && ret->amount > SUM_MAX - *sum) /* I3 */
        why = "with this line the amounts add up to more than 64 bits can hold";
    if (why == NULL)
        *sum += ret->amount;
    return why;
}

static int read_lines(FILE *file, const char *path, struct bank_input *in)
{
    char *line = NULL;
    size_t line_room = 0, room = 0, number = 0;
    int64_t sum = 0;
    ssize_t size;
    int status = 0;

    while (status == 0 && (size = getline(&line, &line_room, file)) >= 0) {
        struct transfer *slot = next_slot(in, &room);
        const char *why = slot == NULL ? NULL : judge(line, size, ++number, slot, &sum);

        if (slot == NULL)
            status = out_of_memory();
        else if (why != NULL)
            status = broken(path, number, why);
        else if (number > 1)
            in->transfer_count++;
    }
    if (status == 0 && !feof(file))
        status = file_error(path);
    if (status == 0 && number == 0)
        status = broken(path, 1, "the header line is missing");
    free(line);
    return status;
}

/* By id, and equal ids in the order of the file. */
static int by_id(const void *a, const void *b)
{
    const struct transfer *x = *(const struct transfer *const *)a;
    const struct transfer *y = *(const struct transfer *const *)b;
    int order = strcmp(x->id, y->id);

    return order != 0 ? order : (x > y) - (x < y);
}

/* I2. Every line holds a transfer, so the number of a line follows from the place in the list. */
static int check_ids(const char *path, const struct bank_input *in)
{
    const struct transfer **sorted = calloc(in->transfer_count + 1, sizeof(*sorted));
    int status = 0;

    if (sorted == NULL)
        return out_of_memory();
    for (size_t i = 0; i < in->transfer_count; i++)
        sorted[i] = &in->transfers[i];
    qsort(sorted, in->transfer_count, sizeof(*sorted), by_id);
    for (size_t i = 1; status == 0 && i < in->transfer_count; i++) {
        if (strcmp(sorted[i - 1]->id, sorted[i]->id) == 0)
            status = broken(path, (size_t)(sorted[i] - in->transfers) + 2,
                            "the id stands on an earlier line too");
    }
    free(sorted);
    return status;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static int collect_accounts(struct bank_input *in)
{
    size_t count = 0;

    in->accounts = calloc(2 * in->transfer_count + 1, sizeof(*in->accounts));
    if (in->accounts == NULL)
        return out_of_memory();
    for (size_t i = 0; i < in->transfer_count; i++) {
        memcpy(in->accounts[2 * i], in->transfers[i].from, NAME_SIZE);
        memcpy(in->accounts[2 * i + 1], in->transfers[i].to, NAME_SIZE);
    }
    qsort(in->accounts, 2 * in->transfer_count, sizeof(*in->accounts), by_name);
    for (size_t i = 0; i < 2 * in->transfer_count; i++) {
        if (count == 0 || strcmp(in->accounts[count - 1], in->accounts[i]) != 0)
            memmove(in->accounts[count++], in->accounts[i], NAME_SIZE);
    }
    in->account_count = count;
    return 0;
}

static int read_file(const char *path, struct bank_input *in)
{
    FILE *file = fopen(path, "r");
    int status;

    if (file == NULL)
        return file_error(path);
    status = read_lines(file, path, in);
    (void)fclose(file); /* only read from */
    if (status == 0)
        status = check_ids(path, in);
    if (status == 0)
        status = collect_accounts(in);
    return status;
}

/* The user's list, or ours: made the first time, and from then on the file counts, not the seed. */
static int read_or_make(const struct options *o, struct bank_input *in)
{
    char ours[4096];
    const char *path = o->csv;
    int status;

    if (path == NULL && o->csv_out != NULL)
        path = o->csv_out;
    if (path == NULL) {
        if ((size_t)snprintf(ours, sizeof(ours), "%s/transfers.csv", in->dir) >= sizeof(ours)) {
            errno = ENAMETOOLONG;
            return file_error(in->dir);
        }
        path = ours;
    }
    if (o->csv == NULL && access(path, F_OK) != 0) {
        status = make_file(path, o);
        if (status != 0)
            return status;
    }
    return read_file(path, in);
}

/* -- the command line ------------------------------------------------------------------------ */

static bool take_number(const char *text, uint64_t least, uint64_t most, uint64_t *ret)
{
    char *end;

    errno = 0;
    *ret = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *ret >= least &&
           *ret <= most;
}

static int usage(void)
{
    fputs(USAGE, stderr);
    return EXIT_INPUT;
}

static int read_options(int argc, char **argv, struct options *o, struct bank_input *in)
{
    static const struct option known[] = {
        {"threads", 1, NULL, 't'},      {"accounts", 1, NULL, 'a'}, {"transfers", 1, NULL, 'n'},
        {"seed", 1, NULL, 's'},         {"csv", 1, NULL, 'c'},      {"csv-out", 1, NULL, 'o'},
        {"recover-only", 0, NULL, 'r'}, {"help", 0, NULL, 'h'},     {NULL, 0, NULL, 0},
    };
    int letter;
    bool good = true;

    while (good && (letter = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (letter) {
        case 't':
            good = take_number(optarg, 1, THREADS_MAX, &o->threads);
            break;
        case 'a':
            good = take_number(optarg, 2, 1000000, &o->accounts);
            break;
        case 'n':
            good = take_number(optarg, 0, 100000000, &o->transfers);
            break;
        case 's':
            good = take_number(optarg, 0, UINT64_MAX, &o->seed);
            break;
        case 'c':
            o->csv = optarg;
            break;
        case 'o':
            o->csv_out = optarg;
            break;
        case 'r':
            in->recover_only = true;
            break;
        case 'h':
            fputs(USAGE, stdout);
            return 0;
        default:
            return usage();
        }
    }
    if (!good) {
        fprintf(stderr, "bank: not a number in range: %s\n", optarg);
        return EXIT_INPUT;
    }
    if (argc - optind != 1)
        return usage();
    in->dir = argv[optind];
    in->threads = (unsigned)o->threads;
    return -1;
}

int bank_input_read(int argc, char **argv, struct bank_input *ret_input)
{
    struct options o = {.threads = 4, .accounts = 100, .transfers = 20000, .seed = 1};
    int status;

    memset(ret_input, 0, sizeof(*ret_input));
    status = read_options(argc, argv, &o, ret_input);
    if (status != -1)
        return status;
    if (mkdir(ret_input->dir, 0700) != 0 && errno != EEXIST)
        return file_error(ret_input->dir);
    if (ret_input->recover_only)
        return -1;
    status = read_or_make(&o, ret_input);
    if (status != 0) {
        bank_input_free(ret_input);
        return status;
    }
    return -1;
}

void bank_input_free(struct bank_input *input)
{
    free(input->transfers);
    free(input->accounts);
    input->transfers = NULL;
    input->accounts = NULL;
    input->transfer_count = input->account_count = 0;
}
