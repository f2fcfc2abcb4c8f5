/* search_api: what stands behind ol_search. */
#ifndef SEARCH_API_H
#define SEARCH_API_H

#include "api.h"
#include "find.h"
#include "score.h"
#include "space_piece.h"

struct ol_search {
    struct object base;
    const ol_search_request *request; /* during the call */
    enum strategy strategy;
    bool weighs; /* scores of a list against the probability that the budget holds */
    struct find find;
    struct search_worker *workers; /* by thread */
    unsigned n_workers;
};

struct search_worker { /* a thread's own memory: forgotten after every candidate */
    struct arena scratch;
    struct space_cache cache; /* this one is kept */
    jmp_buf oom;
    struct diag diag;
};

/* search_price.c: an estimate of a graph whose shapes are known. `scratch` holds what it takes. */
enum status search_price(const struct target *, const struct graph *, struct arena *scratch, struct estimate *,
                         struct diag *) MUST_CHECK;
/* The latency that is not exceeded with the probability asked for, from the interval of the estimate. */
double search_bound(const struct estimate *, double risk);
/* The probability that the latency is not above a budget. */
double search_holds(const struct estimate *, double budget_ms);
ol_setting search_setting(ol_search *, const struct outcome *); /* what it costs and is worth, by target */
/* What is searched, in words: with whatever else decides prices and scores. Names the state of a search. */
const char *search_id(ol_search *, const char *what);
void search_workers_start(ol_search *);
void search_workers_free(ol_search *);
struct arena *search_worker_begin(ol_search *, unsigned worker); /* empty, its messages too */

#define NO_SCORE "no setting has a score: the command failed, took too long or printed no number every time"
/* score_cmd.c: candidates as files, and what a command makes of them. */
const char *score_model_folder(void);
const char *score_model_path(struct arena *); /* a new file, for a candidate; NULL: none could be made */
void score_model_remove(const char *path);    /* and its weights */
/* The last number that the command prints. NaN when it fails twice, or takes longer than it may. */
double score_command(const char *command, const char *model_path, double seconds);

/* search_resolution.c: a step takes 32 pixels off the height, and as much of the width as keeps the image's form. */
uint32_t resolution_image(const struct graph *); /* the one 4-D input of fixed size; NONE */
bool resolution_set(struct graph *, const struct graph *before, uint32_t steps); /* false: no such size */
double resolution_share(const struct graph *before, uint32_t steps);             /* of the height */
/* `sized` inferred at the smaller size; NULL when that is not possible. */
struct graph *resolution_try(const struct knobs *, const struct graph *sized, uint32_t steps, struct arena *);

/* model_search.c, space_search.c */
enum status search_model(ol_search *, ol_search_result *);
enum status search_space(ol_search *, ol_search_result *);
enum status search_model_knobs(ol_search *, const ol_knob **, size_t *n);

#endif
