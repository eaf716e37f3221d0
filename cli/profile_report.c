// SPDX-License-Identifier: Apache-2.0
// The report of `zio profile`: the table's stacks, most bytes first, with names, and an estimate of what
// eliding their copies would save.
//
// The estimate, for copies of at least 128 KiB (zIO's default threshold): the time measured inside memcpy,
// but no more than a copy to never-touched memory takes on this machine (so that being preempted during a
// copy does not count), less one page-table move for each copy. It assumes that nothing reads the copies, so
// it is an upper bound.
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "cli/calibrate.h"
#include "cli/cli.h"
#include "cli/profile.h"
#include "cli/symbols.h"

#define ELIDED_BUCKET 17 // copies of 128 KiB and more

#define TEXT_FRAMES 12u // frames of a stack that the text shows

struct stack {
    struct zio_prof_stack *entry;
    uint64_t copies, bytes;
    double copy_ns;   // measured
    double saving_ns; // estimated
};

struct report {
    const struct profile_run *run;
    struct zio_prof_table *table;
    struct calibration cal;
    struct symbols *symbols;
    struct stack *stacks; // most bytes first
    size_t nstacks, shown;
    uint64_t copies, bytes; // of all stacks
    double copy_ns, saving_ns;
};

static uint64_t
get(_Atomic uint64_t *v)
{
    return atomic_load_explicit(v, memory_order_relaxed);
}

static void
add_stack(struct report *r, struct zio_prof_stack *entry)
{
    struct stack *s = &r->stacks[r->nstacks];

    *s = (struct stack){.entry = entry};
    for (unsigned b = 0; b < ZIO_PROF_BUCKETS; b++) {
        uint64_t copies = get(&entry->size[b].copies), bytes = get(&entry->size[b].bytes);
        double ns = (double)get(&entry->size[b].ticks) * r->run->ns_per_tick;
        double most = (double)bytes * r->cal.fresh_ns_per_byte;
        double gain = (ns < most ? ns : most) - (double)copies * r->cal.move_ns;

        s->copies += copies;
        s->bytes += bytes;
        s->copy_ns += ns;
        if (b >= ELIDED_BUCKET && gain > 0)
            s->saving_ns += gain;
    }
    if (s->copies == 0)
        return; // claimed by a process that was killed before it counted
    r->copies += s->copies;
    r->bytes += s->bytes;
    r->copy_ns += s->copy_ns;
    r->saving_ns += s->saving_ns;
    r->nstacks++;
}

static int
most_bytes_first(const void *a, const void *b)
{
    const struct stack *x = a, *y = b;

    return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

static int
gather(struct report *r)
{
    r->stacks = calloc(ZIO_PROF_STACKS, sizeof *r->stacks);
    r->symbols = symbols_new();
    if (!r->stacks || !r->symbols)
        return -ENOMEM;
    for (unsigned i = 0; i < ZIO_PROF_STACKS; i++)
        if (get(&r->table->stacks[i].key))
            add_stack(r, &r->table->stacks[i]);
    qsort(r->stacks, r->nstacks, sizeof *r->stacks, most_bytes_first);
    r->shown = r->run->top && r->run->top < r->nstacks ? r->run->top : r->nstacks;
    return 0;
}

// The frames of a stack that are known; 0 if its process was killed before it wrote them.
static uint32_t
depth_of(const struct zio_prof_stack *s)
{
    if (!atomic_load_explicit(&s->ready, memory_order_acquire)) // pairs with the writer's release
        return 0;
    return s->depth < ZIO_PROF_FRAMES ? s->depth : ZIO_PROF_FRAMES;
}

// The path of a frame's object, or a word for what it is; path[] is another process's and gets cleaned.
static const char *
object_of(struct report *r, const struct zio_prof_stack *s, uint32_t frame, char path[ZIO_PROF_PATH])
{
    uint32_t m = s->module[frame];

    if (m >= ZIO_PROF_MODULES)
        return "[generated code]";
    if (!atomic_load_explicit(&r->table->modules[m].ready, memory_order_acquire))
        return "[unknown]";
    memcpy(path, r->table->modules[m].path, ZIO_PROF_PATH);
    path[ZIO_PROF_PATH - 1] = '\0';
    text_clean(path);
    return path;
}

static void
print_frame(FILE *out, struct report *r, const struct zio_prof_stack *s, uint32_t frame)
{
    char path[ZIO_PROF_PATH], place[1024];
    const char *object = object_of(r, s, frame, path), *base = strrchr(object, '/');
    struct symbol sym;

    symbols_lookup(r->symbols, object, s->offset[frame], &sym);
    if (sym.name)
        snprintf(place, sizeof place, "%s+0x%" PRIx64, sym.name, sym.offset);
    else
        snprintf(place, sizeof place, "0x%" PRIx64, s->offset[frame]);
    fprintf(out, "      %-40s %s", place, base ? base + 1 : object);
    if (sym.file)
        fprintf(out, " (%s:%d)", sym.file, sym.line);
    fputc('\n', out);
}

static void
print_sizes(FILE *out, struct zio_prof_stack *s)
{
    char a[TEXT_MAX], b[TEXT_MAX], n[TEXT_MAX];

    fputs("      sizes:", out);
    for (unsigned i = 0; i < ZIO_PROF_BUCKETS; i++)
        if (get(&s->size[i].copies))
            fprintf(out, " %s to %s: %s;", text_bytes(a, UINT64_C(1) << i), text_bytes(b, UINT64_C(2) << i),
                    text_count(n, get(&s->size[i].copies)));
    fputc('\n', out);
}

static void
print_stack(FILE *out, struct report *r, size_t i)
{
    struct stack *st = &r->stacks[i];
    struct zio_prof_stack *s = st->entry;
    char bytes[TEXT_MAX], copies[TEXT_MAX], low[TEXT_MAX], high[TEXT_MAX], took[TEXT_MAX], save[TEXT_MAX];
    uint32_t depth = depth_of(s);

    fprintf(out, "\n%3zu.  %s (%.0f %%) in %s copies of %s to %s; took %s, eliding saves up to %s\n", i + 1,
            text_bytes(bytes, st->bytes), 100.0 * (double)st->bytes / (double)r->bytes,
            text_count(copies, st->copies), text_bytes(low, UINT64_MAX - get(&s->nmin)),
            text_bytes(high, get(&s->max)), text_ns(took, st->copy_ns), text_ns(save, st->saving_ns));
    print_sizes(out, s);
    for (uint32_t f = 0; f < depth && f < TEXT_FRAMES; f++)
        print_frame(out, r, s, f);
    if (depth > TEXT_FRAMES)
        fprintf(out, "      ... %u more callers (--json has them)\n", depth - TEXT_FRAMES);
    if (depth == 0)
        fputs("      [stack lost: its process was killed while it was being recorded]\n", out);
}

static void
print_lost(FILE *out, const char *why, uint64_t copies, uint64_t bytes)
{
    char a[TEXT_MAX], b[TEXT_MAX];

    if (copies)
        fprintf(out, "Not in the list: %s copies, %s: %s.\n", text_count(a, copies), text_bytes(b, bytes),
                why);
}

static void
print_text(FILE *out, struct report *r)
{
    struct zio_prof_table *t = r->table;
    char a[TEXT_MAX], b[TEXT_MAX], c[TEXT_MAX], d[TEXT_MAX];

    fprintf(out, "zio profile: %s: %" PRIu64 " %s in %s\n", r->run->argv[0], get(&t->processes),
            get(&t->processes) == 1 ? "process" : "processes", text_ns(a, r->run->elapsed_ns));
    if (get(&t->processes) == 0) {
        fputs("The profiler was never loaded: no process that takes a preloaded library was started.\n", out);
        return;
    }
    fprintf(out, "Copies of at least %s: %s, %s, taking %s; recording them took another %s.\n",
            text_bytes(a, t->minimum), text_count(b, r->copies), text_bytes(c, r->bytes),
            text_ns(d, r->copy_ns),
            text_ns((char[TEXT_MAX]){0}, (double)get(&t->record_ticks) * r->run->ns_per_tick));
    if (r->copies)
        fprintf(out,
                "Eliding those of 128 KiB and more would save up to %s (an estimate: if nothing reads the "
                "copies).\n",
                text_ns(a, r->saving_ns));
    fprintf(out,
            "This machine: memcpy %.3f ns/byte in the cache, %.3f to fresh memory; a page-table move %s.\n",
            r->cal.hot_ns_per_byte, r->cal.fresh_ns_per_byte, text_ns(a, r->cal.move_ns));
    print_lost(out, "the table of stacks was full", get(&t->overflow_copies), get(&t->overflow_bytes));
    print_lost(out, "made by signal handlers while another was recorded", get(&t->nested_copies),
               get(&t->nested_bytes));
    for (size_t i = 0; i < r->shown; i++)
        print_stack(out, r, i);
    if (r->shown < r->nstacks)
        fprintf(out, "\n%zu more stacks; --top=0 shows all.\n", r->nstacks - r->shown);
}

static json_t *
frame_json(struct report *r, const struct zio_prof_stack *s, uint32_t frame)
{
    char path[ZIO_PROF_PATH];
    const char *object = object_of(r, s, frame, path);
    struct symbol sym;

    symbols_lookup(r->symbols, object, s->offset[frame], &sym);
    return json_pack("{s:s, s:I, s:o, s:I, s:o, s:i}", "object", object, "address",
                     (json_int_t)s->offset[frame], "symbol", sym.name ? json_string(sym.name) : json_null(),
                     "symbol_offset", (json_int_t)sym.offset, "file",
                     sym.file ? json_string(sym.file) : json_null(), "line", sym.line);
}

static json_t *
stack_json(struct report *r, const struct stack *st)
{
    struct zio_prof_stack *s = st->entry;
    json_t *sizes = json_array(), *frames = json_array();

    for (unsigned b = 0; b < ZIO_PROF_BUCKETS; b++)
        if (get(&s->size[b].copies))
            json_array_append_new(sizes, json_pack("{s:I, s:I, s:I}", "from", (json_int_t)(UINT64_C(1) << b),
                                                   "copies", (json_int_t)get(&s->size[b].copies), "bytes",
                                                   (json_int_t)get(&s->size[b].bytes)));
    for (uint32_t f = 0; f < depth_of(s); f++)
        json_array_append_new(frames, frame_json(r, s, f));
    return json_pack("{s:I, s:I, s:I, s:I, s:f, s:f, s:o, s:o}", "bytes", (json_int_t)st->bytes, "copies",
                     (json_int_t)st->copies, "min", (json_int_t)(UINT64_MAX - get(&s->nmin)), "max",
                     (json_int_t)get(&s->max), "copy_ns", st->copy_ns, "estimated_saving_ns", st->saving_ns,
                     "sizes", sizes, "frames", frames);
}

static json_t *
run_json(const struct profile_run *run)
{
    json_t *argv = json_array();
    int status = run->status;

    for (char **a = run->argv; *a; a++) {
        char *copy = strdup(*a);

        if (!copy)
            continue;
        text_clean(copy);
        json_array_append_new(argv, json_string(copy));
        free(copy);
    }
    return json_pack("{s:o, s:o, s:o, s:f}", "argv", argv, "exit_code",
                     WIFEXITED(status) ? json_integer(WEXITSTATUS(status)) : json_null(), "signal",
                     WIFSIGNALED(status) ? json_integer(WTERMSIG(status)) : json_null(), "elapsed_ns",
                     run->elapsed_ns);
}

static int
print_json(FILE *out, struct report *r)
{
    struct zio_prof_table *t = r->table;
    json_t *stacks = json_array(), *all;
    int rc;

    for (size_t i = 0; i < r->shown; i++)
        json_array_append_new(stacks, stack_json(r, &r->stacks[i]));
    all = json_pack(
        "{s:o, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:{s:I, s:I}, s:{s:I, s:I}, s:{s:f, s:f, s:f}, s:I, s:o}",
        "run", run_json(r->run), "processes", (json_int_t)get(&t->processes), "minimum",
        (json_int_t)t->minimum, "copies", (json_int_t)r->copies, "bytes", (json_int_t)r->bytes, "copy_ns",
        r->copy_ns, "estimated_saving_ns", r->saving_ns, "recording_ns",
        (double)get(&t->record_ticks) * r->run->ns_per_tick, "overflow", "copies",
        (json_int_t)get(&t->overflow_copies), "bytes", (json_int_t)get(&t->overflow_bytes), "nested",
        "copies", (json_int_t)get(&t->nested_copies), "bytes", (json_int_t)get(&t->nested_bytes),
        "calibration", "memcpy_hot_ns_per_byte", r->cal.hot_ns_per_byte, "memcpy_fresh_ns_per_byte",
        r->cal.fresh_ns_per_byte, "page_move_ns", r->cal.move_ns, "stacks_total", (json_int_t)r->nstacks,
        "stacks", stacks);
    if (!all)
        return -ENOMEM;
    rc = json_dumpf(all, out, JSON_INDENT(2)) == 0 && fputc('\n', out) != EOF ? 0 : -EIO;
    json_decref(all);
    return rc;
}

int
profile_report(FILE *out, const struct profile_run *run, struct zio_prof_table *table, bool json)
{
    struct report r = {.run = run, .table = table};
    int rc = calibrate(&r.cal);

    if (rc == 0)
        rc = gather(&r);
    if (rc == 0 && json)
        rc = print_json(out, &r);
    else if (rc == 0)
        print_text(out, &r);
    symbols_free(r.symbols);
    free(r.stacks);
    return rc;
}
