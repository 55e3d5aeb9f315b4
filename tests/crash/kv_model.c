/*
 * What: the judge of kv_model.h: were the transactions that are in the stores serializable, in the
 *       order of their tickets, and is everything there that was acknowledged?
 * How:  rows of both stores are collected, paired and sorted; arrays stand for the stores.
 */
#include "kv_model.h"

struct row {
    struct row_id id;
    struct row_head head;
    struct op *ops;
    unsigned seen; /* a bit for each store that has it */
};

struct collection {
    struct row *rows;
    size_t count, capacity;
    unsigned store;
};

static int compare_ids(const void *a, const void *b)
{
    const struct row_id *x = a, *y = b;

    if (x->life != y->life)
        return x->life < y->life ? -1 : 1;
    if (x->thread != y->thread)
        return x->thread < y->thread ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

static int compare_tickets(const void *a, const void *b)
{
    const struct row *x = a, *y = b;

    return x->head.ticket < y->head.ticket ? -1 : x->head.ticket > y->head.ticket;
}

static int collect_row(void *user, const void *key, size_t key_size, const void *value, size_t size)
{
    struct collection *c = user;
    struct row *row;
    char name[32] = "";

    CHECK(key_size < sizeof(name), "a row's key");
    memcpy(name, key, key_size);
    if (c->count == c->capacity) {
        c->capacity = c->capacity * 2 + 1024;
        c->rows = realloc(c->rows, c->capacity * sizeof(*c->rows));
        CHECK(c->rows != NULL, "memory");
    }
    row = &c->rows[c->count++];
    memset(row, 0, sizeof(*row));
    CHECK(sscanf(name, "tx/%u/%u/%u", &row->id.life, &row->id.thread, &row->id.number) == 3, "%s",
          name);
    CHECK(size >= sizeof(row->head), "%s is short", name);
    memcpy(&row->head, value, sizeof(row->head));
    CHECK(size == sizeof(row->head) + row->head.count * sizeof(struct op), "%s is short", name);
    row->ops = malloc(size);
    CHECK(row->ops != NULL, "memory");
    memcpy(row->ops, (const char *)value + sizeof(row->head), size - sizeof(row->head));
    row->seen = 1U << c->store;
    return 0;
}

/* Rows of both stores become one each; a row must be wherever its transaction was. */
static void pair_rows(struct collection *c)
{
    size_t kept = 0;

    qsort(c->rows, c->count, sizeof(*c->rows), compare_ids);
    for (size_t i = 0; i < c->count; i++) {
        struct row *row = &c->rows[i], *last = kept > 0 ? &c->rows[kept - 1] : NULL;

        if (last != NULL && compare_ids(&last->id, &row->id) == 0) {
            CHECK(memcmp(&last->head, &row->head, sizeof(row->head)) == 0 &&
                      memcmp(last->ops, row->ops, row->head.count * sizeof(struct op)) == 0,
                  "tx/%u/%u/%u differs", row->id.life, row->id.thread, row->id.number);
            last->seen |= row->seen;
            free(row->ops);
        } else {
            c->rows[kept++] = *row;
        }
    }
    c->count = kept;
    for (size_t i = 0; i < c->count; i++)
        CHECK(c->rows[i].seen == c->rows[i].head.stores,
              "tx/%u/%u/%u is in stores %x and was in %x: done in one store only",
              c->rows[i].id.life, c->rows[i].id.thread, c->rows[i].id.number, c->rows[i].seen,
              c->rows[i].head.stores);
}

static void find_acked(const struct collection *c, const struct row_id *acked, size_t count)
{
    for (size_t i = 0; i < count; i++)
        CHECK(bsearch(&acked[i], c->rows, c->count, sizeof(*c->rows), compare_ids) != NULL,
              "tx/%u/%u/%u was acknowledged and is lost", acked[i].life, acked[i].thread,
              acked[i].number);
}

static void run_rows(const struct collection *c, uint64_t model[STORES][KEYS])
{
    char name[16];

    for (size_t i = 0; i < c->count; i++) {
        const struct row *row = &c->rows[i];

        CHECK(i == 0 || row->head.ticket != c->rows[i - 1].head.ticket, "a ticket twice");
        for (unsigned k = 0; k < row->head.count; k++) {
            const struct op *op = &row->ops[k];
            uint64_t *cell = &model[op->store][op->key];

            (void)key_name(op->key, name);
            CHECK(op->writes || op->value == *cell,
                  "not serializable: tx/%u/%u/%u (ticket %llu) read %llx in %s of store %u, "
                  "and in serial order it is %llx",
                  row->id.life, row->id.thread, row->id.number,
                  (unsigned long long)row->head.ticket, (unsigned long long)op->value, name,
                  op->store, (unsigned long long)*cell);
            if (op->writes)
                *cell = op->value;
        }
    }
}

/* What is in a store in the end. */
static void compare_store(hf_instance *instance, unsigned store, const uint64_t model[KEYS])
{
    for (unsigned key = 0; key < KEYS; key++) {
        uint64_t value = 0;
        char name[16];
        size_t size = key_name(key, name);
        int rc = hf_kv_get(hf_instance_rmid(instance), name, size, &value, sizeof(value), NULL);

        CHECK(rc == HF_OK || rc == HF_ENOTFOUND, "read %s", name);
        CHECK(value == model[key], "not serializable: %s of store %u is %llx, and should be %llx",
              name, store, (unsigned long long)value, (unsigned long long)model[key]);
    }
}

void judge(hf_rm *const rm[STORES], const struct row_id *acked, size_t acked_count,
           struct verdict *ret)
{
    uint64_t model[STORES][KEYS] = {{0}};
    struct collection c = {0};
    hf_instance *at[STORES];

    for (c.store = 0; c.store < STORES; c.store++) {
        at[c.store] = kit_instance(rm[c.store]);
        OK(hf_kv_each(hf_instance_rmid(at[c.store]), "tx/", 3, collect_row, &c));
    }
    if (c.count > 0)
        pair_rows(&c);
    find_acked(&c, acked, acked_count);
    if (c.count > 0)
        qsort(c.rows, c.count, sizeof(*c.rows), compare_tickets);
    run_rows(&c, model);
    for (unsigned store = 0; store < STORES; store++) {
        compare_store(at[store], store, model[store]);
        OK(hf_instance_close(at[store]));
    }
    ret->rows = (unsigned)c.count;
    ret->highest_ticket = c.count > 0 ? c.rows[c.count - 1].head.ticket : 0;
    for (size_t i = 0; i < c.count; i++)
        free(c.rows[i].ops);
    free(c.rows);
}
