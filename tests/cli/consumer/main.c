/*
 * What: a program outside this tree, built against an installed Holdfast (tests/cli/consumer.sh).
 * How:  it makes a node in the directory it is given, closes it, and refers to one name of each
 *       public header.
 */
#include <holdfast/inspect.h>
#include <holdfast/kv.h>
#include <holdfast/tm.h>
#include <holdfast/transaction.h>
#include <xa.h>

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    hf_tm_config config = HF_TM_CONFIG_INIT;
    hf_result result = HF_RESULT_INIT;
    hf_tm *tm = NULL;
    int rc;

    if (argc != 2 || result.size != sizeof(result) || hf_kv_switch.version != 0)
        return 2;
    if (hf_tx_commit(NULL, &result) != HF_EINVAL)
        return 3;

    config.dir = argv[1];
    rc = hf_tm_open(&config, &tm);
    if (rc == HF_OK)
        rc = hf_tm_close(tm, 0, NULL);
    if (rc != HF_OK) {
        fprintf(stderr, "consumer: %s: %s\n", hf_strerror(rc), hf_error_last()->text);
        return 1;
    }
    printf("consumer: holdfast %s\n", hf_version());
    return strcmp(hf_version(), "") == 0;
}
