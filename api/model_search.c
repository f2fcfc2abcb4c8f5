/* Rewriting a model until it fits. */
#include "search_api.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct model_search {
    ol_search *s;
    const ol_search_request *r;
    struct knobs knobs;
    struct score score;
    struct graph *sized; /* the prepared model with every open size bound: what is priced */
    uint32_t n_smaller;  /* sizes that the images may shrink to, as one more gene */
    struct graph **smaller;
    enum importance importance;
    uint16_t *max;
};

/* ---- Getting ready ---- */

static enum status parse_importance(const char *name, enum importance *out, struct diag *diag) {
    static const char *const names[] = {[IMPORTANCE_L2] = "l2", [IMPORTANCE_L1] = "l1", [IMPORTANCE_RANDOM] = "random"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(names[i], name ? name : "l2") != 0) continue;
        *out = (enum importance)i;
        return ST_OK;
    }
    return diag_fail(diag, ST_USAGE, "importance \"%s\" is not l2, l1 or random", name);
}

static int64_t alignment(const ol_search_request *r) {
    int64_t align = r->align ? r->align : 8;
    for (size_t i = 0; !r->align && i < r->n_targets; i++)
        if (r->targets[i]->target->runtime.block > align) align = r->targets[i]->target->runtime.block;
    return align;
}

static enum status infer(struct graph *g, const struct bindings *bind, struct arena *arena, struct diag *diag) {
    struct run run = {.graph = g, .scratch = arena, .diag = diag, .bind = bind};
    return passes_run(&run, PASSES_ANALYSIS);
}

/* The user's sizes first, then 1 for a leading dim that is still open: as a prediction takes them. */
static enum status bind_sizes(struct model_search *ms) {
    ol_search *s = ms->s;
    struct bindings named = ms->r->model->bind, rest = {.batch = named.batch ? named.batch : 1};
    named.batch = 0;
    ms->sized = graph_clone(ms->knobs.g, &s->base.arena);
    struct run run = {.graph = ms->sized, .scratch = &s->base.arena, .diag = &s->base.diag, .bind = &named};
    TRY(pass_bind(&run));
    TRY(infer(ms->sized, &rest, &s->base.arena, &s->base.diag));
    return check_closed(ms->sized, &s->base.diag);
}

/* Genes: steps of every group, every drop, every crop, and of the resolution where it can be turned. */
static size_t first_drop(const struct model_search *ms) {
    return ms->knobs.n_groups;
}
static size_t first_crop(const struct model_search *ms) {
    return first_drop(ms) + ms->knobs.n_drops;
}
static size_t resolution_gene(const struct model_search *ms) {
    return first_crop(ms) + ms->knobs.n_crops;
}
static size_t n_genes(const struct model_search *ms) {
    return resolution_gene(ms) + (ms->n_smaller > 0);
}

static uint32_t resolution_of(const struct model_search *ms, const uint16_t *genes) {
    return ms->n_smaller ? genes[resolution_gene(ms)] : 0;
}

static const struct graph *sized_at(const struct model_search *ms, const uint16_t *genes) {
    uint32_t steps = resolution_of(ms, genes);
    return steps ? ms->smaller[steps - 1] : ms->sized;
}

/* Sizes one after the other, down to the first that is not possible; of models whose sizes are all stated. */
static void find_smaller(struct model_search *ms) {
    struct arena *arena = &ms->s->base.arena;
    size_t n = 0, cap = 0;
    struct graph *g;
    const char *symbol;
    bool may = ms->r->resolution && !open_symbols(ms->knobs.g, &symbol, 1);
    while (may && (g = resolution_try(&ms->knobs, ms->sized, (uint32_t)n + 1, arena))) {
        ms->smaller = arena_grow(arena, ms->smaller, n, &cap, n + 1, sizeof *ms->smaller);
        ms->smaller[n++] = g;
    }
    ms->n_smaller = (uint32_t)n;
    ms->max[resolution_gene(ms)] = (uint16_t)n;
}

static struct config config_of(const struct model_search *ms, const uint16_t *genes, struct arena *arena) {
    struct config config = config_new(&ms->knobs, arena);
    memcpy(config.removed, genes, ms->knobs.n_groups * sizeof *genes);
    for (uint32_t i = 0; i < ms->knobs.n_drops; i++) config.dropped[i] = genes[first_drop(ms) + i] != 0;
    memcpy(config.cropped, genes + first_crop(ms), ms->knobs.n_crops * sizeof *genes);
    return config;
}

/* Every tensor is inferred again from the inputs, and must come out as the coupling says. */
static enum status verify(const struct model_search *ms, const struct config *config, uint32_t steps,
                          const struct graph *cut, struct arena *arena, struct diag *diag) {
    struct graph *g = graph_clone(cut, arena);
    for (size_t t = 0; t < g->n_tensors; t++) {
        if (g->tensors[t].producer == NONE || g->tensors[t].flags & TF_OUTPUT) continue;
        g->tensors[t].rank = RANK_UNKNOWN;
        g->tensors[t].value = NULL;
        g->tensors[t].flags &= ~(uint32_t)TF_DECLARED;
    }
    TRY(infer(g, NULL, arena, diag));
    return rewrite_verify(&ms->knobs, config, steps ? ms->smaller[steps - 1] : ms->knobs.g, g, arena, diag);
}

static enum status cut_model(const struct model_search *ms, const uint16_t *genes, struct arena *arena,
                             struct graph **cut, struct diag *diag) {
    struct config config = config_of(ms, genes, arena);
    uint32_t steps = resolution_of(ms, genes);
    TRY(rewrite_apply(&ms->knobs, &config, arena, cut, diag));
    if (steps) (void)resolution_set(*cut, ms->knobs.g, steps);
    return verify(ms, &config, steps, *cut, arena, diag);
}

/* ---- Knobs that do not hold ---- */

/* What is offered was proven by the coupling; whether it can be written shows in a cut. One that fails stays. */
static bool holds(const struct model_search *ms, const uint16_t *genes, struct arena *scratch, struct diag *own) {
    struct graph *cut;
    arena_reset(scratch);
    diag_init(own, scratch);
    return cut_model(ms, genes, scratch, &cut, own) == ST_OK;
}

static const char *gene_name(const struct model_search *ms, size_t gene) {
    if (gene < first_drop(ms)) return ms->knobs.groups[gene].name;
    return gene < first_crop(ms) ? ms->knobs.drops[gene - first_drop(ms)].name
                                 : ms->knobs.crops[gene - first_crop(ms)].name;
}

/* All of them at once first: most models need no more. */
static void lock_failing(struct model_search *ms, size_t from, size_t to, uint16_t *genes, struct arena *scratch) {
    struct diag own;
    for (size_t i = from; i < to; i++) genes[i] = ms->max[i];
    bool together = from == to || holds(ms, genes, scratch, &own);
    memset(genes, 0, n_genes(ms) * sizeof *genes);
    for (size_t i = from; i < to && !together; i++) {
        genes[i] = ms->max[i];
        if (!holds(ms, genes, scratch, &own)) {
            diag_warn(&ms->s->base.diag, "\"%s\" stays as it is: %s", gene_name(ms, i), own.message);
            ms->max[i] = 0;
        }
        genes[i] = 0;
    }
}

/* Blocks apart from the others, whose cuts they would hide. */
static void lock_all_failing(struct model_search *ms) {
    struct arena *scratch = arena_inside(&ms->s->base.arena);
    uint16_t *genes = arena_array(&ms->s->base.arena, n_genes(ms) + 1, sizeof *genes);
    lock_failing(ms, 0, first_drop(ms), genes, scratch);
    lock_failing(ms, first_drop(ms), first_crop(ms), genes, scratch);
    lock_failing(ms, first_crop(ms), resolution_gene(ms), genes, scratch);
    arena_free(scratch);
}

static enum status ready(struct model_search *ms, ol_search *s) {
    struct graph *model = s->request->model->graph;
    *ms = (struct model_search){.s = s, .r = s->request};
    TRY(parse_importance(s->request->importance, &ms->importance, &s->base.diag));
    struct graph *g = graph_clone(model, &s->base.arena);
    TRY(infer(g, NULL, &s->base.arena, &s->base.diag));
    knobs_find(&ms->knobs, g, COUPLING_FREER, alignment(s->request), ms->importance, s->request->seed, &s->base.arena);
    score_start(&ms->score, &ms->knobs, &s->base.arena);
    ms->max = arena_array(&s->base.arena, resolution_gene(ms) + 1, sizeof *ms->max);
    for (uint32_t i = 0; i < ms->knobs.n_groups; i++) ms->max[i] = (uint16_t)ms->knobs.groups[i].n_steps;
    for (uint32_t i = 0; i < ms->knobs.n_drops; i++) ms->max[first_drop(ms) + i] = 1;
    for (uint32_t i = 0; i < ms->knobs.n_crops; i++) ms->max[first_crop(ms) + i] = (uint16_t)ms->knobs.crops[i].n_steps;
    TRY(bind_sizes(ms));
    find_smaller(ms);
    lock_all_failing(ms);
    return ST_OK;
}

/* ---- Judging a setting ---- */

/* What the file says of its outputs holds for the cut model too, names of open sizes and all. */
static void declare_as_before(const struct graph *before, struct graph *g) {
    for (uint32_t i = 0; i < g->bodies[0].n_outputs; i++) {
        const struct tensor *t = &before->tensors[g->bodies[0].outputs[i]];
        if (t->rank >= 0) tensor_set_shape(g, g->bodies[0].outputs[i], t->dtype, t->dims, t->rank);
    }
}

static enum status write_model(const struct model_search *ms, const uint16_t *genes, const char *path,
                               struct arena *arena, struct diag *diag) {
    struct graph *cut;
    TRY(cut_model(ms, genes, arena, &cut, diag));
    declare_as_before(ms->r->model->graph, cut);
    return onnx_write(cut, path, cut->n_files > 1, diag);
}

static double external_score(const struct model_search *ms, const uint16_t *genes, struct arena *arena,
                             struct diag *diag) {
    const char *path = score_model_path(arena);
    double score = NAN;
    if (!path) return NAN;
    if (write_model(ms, genes, path, arena, diag) == ST_OK)
        score = score_command(ms->r->score_cmd, path, ms->r->score_seconds);
    score_model_remove(path);
    return score;
}

static bool judge_in(const struct model_search *ms, const uint16_t *genes, struct outcome *o, struct arena *arena,
                     struct diag *diag) {
    struct config config = config_of(ms, genes, arena);
    struct graph *g = rewrite_shapes(&ms->knobs, &config, sized_at(ms, genes), arena);
    for (size_t t = 0; t < ms->r->n_targets; t++) {
        struct estimate e;
        if (search_price(ms->r->targets[t]->target, g, arena, &e, diag) != ST_OK) return false;
        o->ms[t] = e.ms;
        o->bound_ms[t] = search_bound(&e, ms->r->risk);
    }
    if (!isnan(o->score)) return true;
    o->score = ms->r->score_cmd
                   ? external_score(ms, genes, arena, diag)
                   : score_of(&ms->score, &config, g) * resolution_share(ms->sized, resolution_of(ms, genes));
    return true;
}

static bool judge(void *user, const uint16_t *genes, struct outcome *o, unsigned worker) {
    struct model_search *ms = user;
    if (setjmp(ms->s->workers[worker].oom)) return false;
    struct arena *arena = search_worker_begin(ms->s, worker);
    return judge_in(ms, genes, o, arena, &ms->s->workers[worker].diag);
}

/* ---- Telling ---- */

static ol_knob group_knob(const struct group *g, uint32_t steps) {
    return (ol_knob){.name = g->name,
                     .kind = "channels",
                     .units = g->n_units,
                     .kept = g->n_units - (size_t)(steps * g->step),
                     .step = g->step,
                     .changes_statistics = g->statistics};
}

/* By its longest side. */
static ol_knob crop_knob(const struct graph *g, const struct crop *crop, uint32_t steps) {
    const struct tensor *weight = &g->tensors[crop->weight];
    int64_t before = 0, after = 0;
    for (int32_t axis = 2; axis < weight->rank; axis++) {
        int64_t side = weight->dims[axis].value, left = side - 2 * crop_rim(side, steps);
        if (side > before) before = side;
        if (left > after) after = left;
    }
    return (ol_knob){.name = crop->name, .kind = "kernel", .units = (size_t)before, .kept = (size_t)after, .step = 2};
}

static ol_knob resolution_knob(const struct model_search *ms, uint32_t steps) {
    const struct graph *g = ms->sized;
    uint32_t image = resolution_image(g);
    size_t height = (size_t)g->tensors[image].dims[2].value;
    size_t kept = (size_t)ms->smaller[steps - 1]->tensors[image].dims[2].value;
    return (ol_knob){.name = g->tensors[image].name,
                     .kind = "pixels",
                     .units = height,
                     .kept = kept,
                     .step = (int64_t)((height - kept) / steps)};
}

static ol_knob knob(const struct model_search *ms, size_t gene, uint32_t steps) {
    const struct knobs *k = &ms->knobs;
    if (gene < first_drop(ms)) return group_knob(&k->groups[gene], steps);
    if (gene < first_crop(ms))
        return (ol_knob){.name = k->drops[gene - first_drop(ms)].name, .kind = "block", .units = 1, .step = 1};
    if (gene < resolution_gene(ms)) return crop_knob(k->g, &k->crops[gene - first_crop(ms)], steps);
    return resolution_knob(ms, steps);
}

static const ol_knob *turned(const struct model_search *ms, const uint16_t *genes, size_t *n) {
    ol_knob *list = arena_array(&ms->s->base.arena, n_genes(ms) + 1, sizeof *list);
    *n = 0;
    for (size_t i = 0; i < n_genes(ms); i++)
        if (genes[i]) list[(*n)++] = knob(ms, i, genes[i]);
    return list;
}

static ol_setting setting(const struct model_search *ms, const struct found *f) {
    ol_setting s = search_setting(ms->s, &f->outcome);
    s.knobs = turned(ms, f->genes, &s.n_knobs);
    return s;
}

static enum status sums(const struct model_search *ms, const uint16_t *genes, struct estimate *e, int64_t *macs,
                        int64_t *params) {
    struct arena *arena = &ms->s->base.arena;
    struct config config = config_of(ms, genes, arena);
    struct graph *g = rewrite_shapes(&ms->knobs, &config, sized_at(ms, genes), arena);
    TRY(search_price(ms->r->targets[0]->target, g, arena, e, &ms->s->base.diag));
    struct run run = {.graph = g, .scratch = arena, .diag = &ms->s->base.diag, .facts = P_BOUND | P_TOPO | P_SHAPES};
    TRY(passes_run(&run, 1u << PASS_cost));
    *macs = *params = 0;
    for (size_t n = 0; n < g->n_nodes; n++) {
        if (g->nodes[n].dead) continue;
        *macs = num_add_sat(*macs, run.costs[n].macs > 0 ? run.costs[n].macs : 0);
        *params = num_add_sat(*params, run.costs[n].params > 0 ? run.costs[n].params : 0);
    }
    return ST_OK;
}

static enum status tell(const struct model_search *ms, const struct findings *found, ol_search_result *out) {
    struct arena *arena = &ms->s->base.arena;
    struct estimate before, after;
    const uint16_t *nothing = arena_array(arena, ms->s->find.n_genes + 1, sizeof *nothing);
    TRY(sums(ms, nothing, &before, &out->macs_before, &out->params_before));
    TRY(sums(ms, found->chosen.genes, &after, &out->macs_after, &out->params_after));
    out->before_ms = before.ms, out->before_lo_ms = before.lo_ms, out->before_hi_ms = before.hi_ms;
    out->after_lo_ms = after.lo_ms, out->after_hi_ms = after.hi_ms;
    out->met = found->met;
    out->chosen = setting(ms, &found->chosen);
    out->fastest = setting(ms, &found->fastest);
    ol_setting *frontier = arena_array(arena, found->n_frontier + 1, sizeof *frontier);
    for (size_t i = 0; i < found->n_frontier; i++) frontier[i] = setting(ms, &found->frontier[i]);
    out->frontier = frontier;
    out->n_frontier = found->n_frontier;
    out->evaluated = found->evaluated;
    out->seconds = found->seconds;
    return ST_OK;
}

/* ---- The search ---- */

static uint64_t importance_hash(const struct knobs *k) {
    uint64_t hash = 0;
    for (uint32_t g = 0; g < k->n_groups; g++)
        for (uint32_t i = 0; i < k->groups[g].n_units; i++) {
            uint32_t bits;
            memcpy(&bits, &k->groups[g].importance[i], sizeof bits);
            hash = (hash ^ bits) * 0x100000001b3; /* FNV-1a, by words */
        }
    return hash;
}

/* What the whole model takes, and its weights, tell other files of the same name from this one, models and targets. */
static const char *problem_id(const struct model_search *ms, const struct outcome *whole) {
    struct arena *arena = &ms->s->base.arena;
    const char *id = arena_printf(arena, "%s %u knobs", ms->knobs.g->path, (unsigned)n_genes(ms));
    for (size_t i = 0; i < ms->r->n_targets; i++) id = arena_printf(arena, "%s, %.9g ms", id, whole->ms[i]);
    id = arena_printf(arena, "%s, align %lld, importance %s %016llx", id, (long long)ms->knobs.align,
                      ms->r->importance ? ms->r->importance : "l2", (unsigned long long)importance_hash(&ms->knobs));
    return search_id(ms->s, id);
}

static void set_up(struct model_search *ms) {
    const ol_search_request *r = ms->r;
    ms->s->find = (struct find){.strategy = ms->s->strategy,
                                .n_genes = n_genes(ms),
                                .n_widths = ms->knobs.n_groups,
                                .n_targets = r->n_targets,
                                .max = ms->max,
                                .budget_ms = r->budgets_ms,
                                .judge = judge,
                                .user = ms,
                                .jobs = ms->s->n_workers,
                                .seed = r->seed,
                                .evaluations = r->evaluations,
                                .seconds = r->minutes * 60,
                                .uniform = true,
                                .greedy = !r->score_cmd,
                                .progress = r->progress,
                                .progress_user = r->user,
                                .none = r->score_cmd ? NO_SCORE : NULL,
                                .state_path = r->state,
                                .arena = &ms->s->base.arena};
}

static enum status price_whole(const struct model_search *ms, struct findings *found) {
    uint16_t *nothing = arena_array(&ms->s->base.arena, ms->s->find.n_genes + 1, sizeof *nothing);
    *found = (struct findings){.met = true, .chosen = {.genes = nothing, .outcome.score = NAN}, .evaluated = 1};
    if (!judge((void *)(uintptr_t)ms, nothing, &found->chosen.outcome, 0))
        return diag_fail(&ms->s->base.diag, ST_MODEL, "%s: cannot be priced", ms->knobs.g->path);
    found->fastest = found->chosen;
    found->frontier = &found->chosen;
    found->n_frontier = 1;
    for (size_t t = 0; t < ms->r->n_targets; t++)
        found->met = found->met && found->chosen.outcome.bound_ms[t] <= ms->r->budgets_ms[t];
    return ST_OK;
}

static enum status write_result(const struct model_search *ms, const struct findings *found, ol_search_result *out) {
    const ol_search_request *r = ms->r;
    struct arena *arena = &ms->s->base.arena;
    if (!found->met) return ST_OK;
    if (!out->unchanged) {
        struct diag own;
        struct graph *cut;
        diag_init(&own, arena);
        enum status status = r->plan || !r->output ? cut_model(ms, found->chosen.genes, arena, &cut, &own)
                                                   : write_model(ms, found->chosen.genes, r->output, arena, &own);
        out->written = status == ST_OK && r->output && !r->plan;
        return status == ST_OK ? ST_OK : diag_fail(&ms->s->base.diag, status, "the model once cut: %s", own.message);
    }
    out->written = r->output && !r->plan && access(r->output, F_OK) != 0; /* nothing is replaced by its like */
    if (!out->written) return ST_OK;
    return onnx_write(r->model->graph, r->output, r->model->graph->n_files > 1, &ms->s->base.diag);
}

enum status search_model(ol_search *s, ol_search_result *out) {
    struct model_search ms;
    struct findings found;
    if (!s->request->budgets_ms) return diag_fail(&s->base.diag, ST_USAGE, "give a budget in milliseconds");
    TRY(ready(&ms, s));
    set_up(&ms);
    TRY(price_whole(&ms, &found));
    out->unchanged = found.met;
    s->find.state_id = problem_id(&ms, &found.chosen.outcome);
    if (!s->find.n_genes) diag_warn(&s->base.diag, "%s: nothing in it can be cut safely", ms.knobs.g->path);
    if (!out->unchanged && s->find.n_genes) TRY(find_best(&s->find, &found, &s->base.diag));
    TRY(tell(&ms, &found, out));
    return write_result(&ms, &found, out);
}

/* What turning one knob alone as far as it goes saves on the first target. */
enum status search_model_knobs(ol_search *s, const ol_knob **knobs, size_t *n) {
    struct model_search ms;
    struct outcome base = {.score = 0}, alone = base; /* scores are not asked for */
    TRY(ready(&ms, s));
    size_t total = n_genes(&ms);
    ol_knob *list = arena_array(&s->base.arena, total + 1, sizeof *list);
    uint16_t *genes = arena_array(&s->base.arena, total + 1, sizeof *genes);
    if (!judge(&ms, genes, &base, 0))
        return diag_fail(&s->base.diag, ST_MODEL, "%s: cannot be priced", ms.knobs.g->path);
    *n = 0;
    for (size_t i = 0; i < total; i++) {
        if (!ms.max[i]) continue;
        genes[i] = ms.max[i];
        list[*n] = knob(&ms, i, ms.max[i]);
        list[(*n)++].saves_ms = judge(&ms, genes, &alone, 0) ? base.ms[0] - alone.ms[0] : NAN;
        genes[i] = 0;
    }
    *knobs = list;
    return ST_OK;
}
