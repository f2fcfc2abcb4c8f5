/* space_table: measured tables as the experiments read them. */
#ifndef SPACE_TABLE_H
#define SPACE_TABLE_H

#include "protocol.h"
#include "space.h"

/* Reads a table (docs/data.md): the columns of the space, then one a device. Features are computed on `jobs` threads,
 * at every batch size among the columns. Cells that are no positive number count as not measured; columns without any
 * number are left out. */
enum status space_table_read(struct table *, const struct space *, const char *path, unsigned jobs, struct arena *,
                             struct diag *) MUST_CHECK;

#endif
