/* The proxies of an adaptation: targets with fitted weights, by name or all there are. */
#include "study.h"

#include <string.h>

struct proxies {
    size_t n_at, cap_at;
    struct proxy *at;
};

static void add_proxy(ol_study *s, struct proxies *list, const struct target *t) {
    double *weight = arena_array(&s->base.arena, FT_COUNT, sizeof *weight);
    struct proxy proxy = {.name = t->name, .weight = weight, .noise = t->linear->noise};
    linear_weights(t->linear, weight);
    memcpy(proxy.share, t->linear->share, sizeof proxy.share);
    PUSH(&s->base.arena, list, at, proxy);
}

static enum status open_proxy(ol_study *s, struct proxies *list, const char *name, bool must) {
    const char *path;
    struct target *target;
    TRY(target_find(s->base.context, name, &path, &s->base.arena, &s->base.diag));
    TRY(target_load_proxy(&target, path, &s->base.arena, &s->base.diag));
    if (target->linear) {
        add_proxy(s, list, target);
        return ST_OK;
    }
    if (!must) return ST_OK;
    return diag_fail(&s->base.diag, ST_TARGET,
                     "target %s is %s: a proxy needs weights fitted on measurements (kind measured or adapted)",
                     target->name, target_kind_name(target->kind));
}

static enum status open_all(ol_study *s, struct proxies *list) {
    ol_names *names;
    ol_status status = ol_target_names(s->base.context, &names);
    if (status != OL_OK) return diag_fail(&s->base.diag, (enum status)status, "the targets could not be listed");
    size_t n = names->count;
    const char **copy = arena_array(&s->base.arena, n + 1, sizeof *copy);
    for (size_t i = 0; i < n; i++) copy[i] = arena_strndup(&s->base.arena, names->at[i], strlen(names->at[i]));
    ol_names_free(names);
    for (size_t i = 0; i < n; i++) TRY(open_proxy(s, list, copy[i], false));
    return ST_OK;
}

enum status study_proxies(ol_study *s, const char *const *names, size_t n_names, struct proxy **proxies, size_t *n) {
    struct proxies list = {0};
    if (!n_names) return diag_fail(&s->base.diag, ST_USAGE, "name a proxy: a target, \"auto\", or \"none\"");
    if (n_names == 1 && strcmp(names[0], "auto") == 0) {
        TRY(open_all(s, &list));
    } else if (n_names > 1 || strcmp(names[0], "none") != 0) {
        for (size_t i = 0; i < n_names; i++) TRY(open_proxy(s, &list, names[i], true));
    }
    *proxies = list.at;
    *n = list.n_at;
    return ST_OK;
}
