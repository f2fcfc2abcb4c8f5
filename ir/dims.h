/* dims: the expressions of a graph's dimensions; private to ir/. */
#ifndef DIMS_H
#define DIMS_H

#include "ir.h"

struct dims *dims_new(struct arena *);
struct dims *dims_clone(const struct dims *, struct arena *); /* grows on its own; expressions made before are shared */

#endif
