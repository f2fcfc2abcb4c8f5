/* The proxies of an adaptation: targets with fitted weights, by name or all there are. */
#include "study.h"

#include <string.h>

struct proxies {
    size_t n_at, cap_at;
    struct proxy *at;
    bool partial; /* with what was fitted without one of a target's spaces */
};

static void add_proxy(ol_study *s, struct proxies *list, const struct target *t) {
    double *weight = arena_array(&s->base.arena, FT_COUNT, sizeof *weight);
    struct proxy proxy = {.name = t->name, .weight = weight, .noise = t->linear->noise};
    linear_weights(t->linear, weight);
    memcpy(proxy.share, t->linear->share, sizeof proxy.share);
    PUSH(&s->base.arena, list, at, proxy);
    for (size_t i = 0; list->partial && i < t->linear->n_partial; i++) {
        const struct partial *part = &t->linear->partial[i];
        proxy = (struct proxy){.name = t->name, .without = part->without, .weight = part->weight, .noise = part->noise};
        proxy.share[part->view] = 1;
        PUSH(&s->base.arena, list, at, proxy);
    }
}

static enum status load(ol_study *s, const char *name, struct target **target, struct diag *diag) {
    const char *path;
    if (llvm_target_is(name))
        return diag_fail(
            diag, ST_TARGET,
            "target %s is analytic: a proxy needs weights fitted on measurements (kind measured or adapted)", name);
    TRY(target_find(s->base.context, name, &path, &s->base.arena, diag));
    return target_load_proxy(target, path, &s->base.arena, diag);
}

static enum status open_named(ol_study *s, struct proxies *list, const char *name) {
    struct target *target;
    TRY(load(s, name, &target, &s->base.diag));
    if (target->linear) {
        add_proxy(s, list, target);
        return ST_OK;
    }
    return diag_fail(&s->base.diag, ST_TARGET,
                     "target %s is %s: a proxy needs weights fitted on measurements (kind measured or adapted)",
                     target->name, target_kind_name(target->kind));
}

/* Every measured target. Adapted ones know no more than the measurements they were adapted with, perhaps those at hand;
 * a file that is broken is in nobody's way. */
static void open_all(ol_study *s, struct proxies *list) {
    size_t n;
    const char *const *names = target_list(s->base.context, &s->base.arena, &n);
    for (size_t i = 0; i < n; i++) {
        struct target *target;
        struct diag own;
        diag_init(&own, &s->base.arena);
        if (load(s, names[i], &target, &own) != ST_OK)
            diag_warn(&s->base.diag, "%s", own.message);
        else if (target->kind == TARGET_MEASURED && target->linear)
            add_proxy(s, list, target);
    }
}

enum status study_proxies(ol_study *s, const char *const *names, size_t n_names, bool partial, struct proxy **proxies,
                          size_t *n) {
    struct proxies list = {.partial = partial};
    if (!n_names) return diag_fail(&s->base.diag, ST_USAGE, "name a proxy: a target, \"auto\", or \"none\"");
    if (n_names == 1 && strcmp(names[0], "auto") == 0) {
        open_all(s, &list);
    } else if (n_names > 1 || strcmp(names[0], "none") != 0) {
        for (size_t i = 0; i < n_names; i++) TRY(open_named(s, &list, names[i]));
    }
    *proxies = list.at;
    *n = list.n_at;
    return ST_OK;
}
