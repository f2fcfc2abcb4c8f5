/* space_table: measured tables as the experiments read them. */
#ifndef SPACE_TABLE_H
#define SPACE_TABLE_H

#include "protocol.h"
#include "space.h"

/* The batch size a device's column was measured at: "name_32" at 32, for 1, 32, 64 and 256; else 1. `length` gets that
 * of the device's own name. A number that is part of the name ("essential_ph_1") cannot be told: such names are listed
 * in the source. */
int64_t column_batch(const char *name, size_t *length);

/* Reads a table (docs/data.md): the columns of the space, then one a device. Features are computed on `jobs` threads,
 * at every batch size among the columns. Cells that are no positive number count as not measured; columns without any
 * number are left out. */
enum status space_table_read(struct table *, const struct space *, const char *path, unsigned jobs, struct arena *,
                             struct diag *) MUST_CHECK;

#endif
