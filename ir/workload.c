/* Names of the workload's vocabulary. */
#include "ir.h"

#include <string.h>

static const char *const view_names[VIEW_COUNT] = {"kept", "prune", "full"};

const char *view_name(enum view view) {
    return view_names[view];
}

bool view_parse(const char *name, enum view *view) {
    for (int i = 0; i < VIEW_COUNT; i++) {
        if (strcmp(view_names[i], name) != 0) continue;
        *view = (enum view)i;
        return true;
    }
    return false;
}

const char *feature_name(enum feature feature) {
    static const char *const names[] = {
#define FEATURE(id, name, unit) name,
#include "features.def"
#undef FEATURE
    };
    return names[feature];
}

static const char *const class_names[] = {
#define CLASS(id, name) name,
#include "classes.def"
#undef CLASS
};

const char *kernel_class_name(enum kernel_class kind) {
    return class_names[kind];
}

enum kernel_class kernel_class_parse(const char *name) {
    int i = 0;
    while (i < KC_COUNT && strcmp(class_names[i], name) != 0) i++;
    return (enum kernel_class)i;
}
