// SPDX-License-Identifier: Apache-2.0
// zio-bench: see `zio-bench --help`. The same binary is also its own worker (`--worker`, not for people).
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/env.h"
#include "bench/guard.h"
#include "bench/opts.h"
#include "bench/plot.h"
#include "bench/result.h"
#include "bench/worker.h"

static const struct {
    const char *name;
    int (*run)(json_t *result);
} benches[] = {
    {"copy", run_copy},   {"echo", run_echo}, {"fault", run_fault},   {"alloc", run_alloc},
    {"micro", run_micro}, {"app", run_app},   {"table", run_table},   {"fs", run_fs},
    {"sock", run_sock},   {"demo", run_demo}, {"report", run_report},
};

int
main(int argc, char **argv)
{
    int (*run)(json_t *) = NULL;
    if (argc == 2 && !strcmp(argv[1], "--worker"))
        return worker_main();
    env_drop_preload(argv);
    opts_parse(argc, argv);
    for (size_t i = 0; i < sizeof benches / sizeof *benches; i++)
        if (!strcmp(opt.bench, benches[i].name))
            run = benches[i].run;
    if (!run) {
        fprintf(stderr, "zio-bench: there is no '%s'; try zio-bench --help\n", opt.bench);
        return 64;
    }
    if (opt.plot && !plot_possible()) {
        fprintf(
            stderr,
            "zio-bench: --plot needs gnuplot, which is not in PATH; install it: apt install gnuplot-nox\n");
        return BENCH_FAILED;
    }
    if (env_init() < 0)
        return BENCH_FAILED;
    guard_enter(!opt.smoke);
    signal(SIGPIPE, SIG_IGN);
    env_pin(opt.cpu_client);
    json_t *result = json_object();
    int rc = run(result);
    if (opt.json) {
        json_dumpf(result, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
        printf("\n");
    }
    if (opt.plot && plot_result(result, opt.plot) < 0)
        rc = BENCH_FAILED;
    json_decref(result);
    return rc;
}
