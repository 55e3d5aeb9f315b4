/*
 * tools/txctl/config.c - txctl config check.
 *
 * Reads the file, loads the libraries that it names and checks their switches, as tx_open() and
 * hf_config_load() do. No resource manager is called, no node is opened, and no open or close
 * string is printed.
 */
#include "txctl.h"

#ifdef HOLDFAST_TX
#include "holdfast/config.h"

static json_t *json_of(const hf_config_rm *rm)
{
    json_t *o = json_object();

    json_put(o, "name", json_text(rm->name));
    json_put(o, "library", json_text(rm->library));
    json_put(o, "symbol", json_text(rm->symbol));
    json_put(o, "switch", json_text(rm->xa->name));
    json_put(o, "rank", json_integer(rm->rank));
    json_put(o, "dynamic", json_boolean(rm->dynamic));
    json_put(o, "thread_bound", json_boolean(rm->thread_bound));
    json_put(o, "rmid", json_text(rm->one_rmid ? "process" : "thread"));
    return o;
}

static void print(const hf_config *config, bool json)
{
    static const char *const names[] = {"NAME", "SWITCH", "REGISTRATION", "RMID", "RANK", NULL};
    hf_config_rm rm = {.size = sizeof(rm)};
    json_t *document = json_document(), *list = json_array();
    struct table table;
    char buf[TEXT_SIZE];

    table_head(&table, names);
    for (unsigned i = 0; hf_config_get_rm(config, i, &rm) == HF_OK; i++) {
        (void)json_array_append_new(list, json_of(&rm));
        table_add(&table, "%s", plain_text(rm.name, buf));
        table_add(&table, "%s", plain_text(rm.xa->name, buf));
        table_add(&table, "%s", rm.dynamic ? "dynamic" : "static");
        table_add(&table, "%s", rm.one_rmid ? "process" : "thread");
        table_add(&table, "%d", rm.rank);
    }
    json_put(document, "node", json_text(hf_config_node(config)));
    json_put(document, "resource_managers", list);
    if (json) {
        json_print(document);
    } else {
        json_decref(document);
        (void)printf("node: %s\n", plain_text(hf_config_node(config), buf));
        table_print(&table, "resource managers", stdout);
    }
    table_free(&table);
}

int config_check(const struct call *call)
{
    hf_config *config = NULL;
    int rc = hf_config_load(call->file, &config);

    if (rc != HF_OK) {
        complain("%s (%s)", hf_error_last()->text, hf_strerror_name(rc));
        return exit_of(rc);
    }
    print(config, call->json);
    hf_config_free(config);
    return DONE;
}

#else

int config_check(const struct call *call)
{
    complain("%s: this txctl was built without libholdfast-tx", call->file);
    return FAILED;
}

#endif
