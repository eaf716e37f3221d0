// SPDX-License-Identifier: Apache-2.0
// The machine's other load during a measurement: its busy time (/proc/stat) less ours and our children's.
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/load.h"

struct sample {
    double busy, steal, all; // seconds of all CPUs
    double ours;             // seconds of this process and its ended children
};

static struct sample start;

static double
usage(int who)
{
    struct rusage u;
    getrusage(who, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static struct sample
sample(void)
{
    struct sample s = {0};
    double v[8] = {0}, hz = (double)sysconf(_SC_CLK_TCK);
    FILE *f = fopen("/proc/stat", "re");
    if (f) {
        int n = fscanf(f, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5],
                       &v[6], &v[7]);
        fclose(f);
        for (int i = 0; i < n; i++)
            s.all += v[i] / hz;
        s.busy = (v[0] + v[1] + v[2] + v[5] + v[6]) / hz;
        s.steal = v[7] / hz;
    }
    s.ours = usage(RUSAGE_SELF) + usage(RUSAGE_CHILDREN);
    return s;
}

void
load_begin(void)
{
    start = sample();
}

json_t *
load_end(void)
{
    struct sample s = sample();
    double all = s.all - start.all, others = (s.busy - start.busy) - (s.ours - start.ours);
    if (all <= 0)
        return json_object();
    return json_pack("{s:f, s:f}", "others_percent", others > 0 ? 100 * others / all : 0.0, "steal_percent",
                     100 * (s.steal - start.steal) / all);
}

void
load_warn(const json_t *load)
{
    double others = json_number_value(json_object_get(load, "others_percent"));
    double steal = json_number_value(json_object_get(load, "steal_percent"));
    if (others > 10 || steal > 2)
        printf("Note: other work took %.0f %% of the CPUs meanwhile, and the hypervisor %.1f %%: the spread "
               "tells.\n",
               others, steal);
}
