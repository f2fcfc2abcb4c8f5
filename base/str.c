/* Interned names, and text that is safe to show. */
#include "base.h"

#include <string.h>

void strtab_init(struct strtab *table, struct arena *arena) {
    *table = (struct strtab){0};
    map_init(&table->map, arena);
}

const char *intern(struct strtab *table, const char *text, size_t length) {
    uint32_t at;
    if (!length) return "";
    if (map_get(&table->map, text, length, &at)) return table->strings[at];
    char *copy = arena_strndup(table->map.arena, text, length);
    for (size_t i = 0; i < length; i++)
        if (!copy[i]) copy[i] = '?';
    if (memchr(text, '\0', length) && map_get(&table->map, copy, length, &at)) return table->strings[at];
    PUSH(table->map.arena, table, strings, copy);
    map_put(&table->map, copy, length, (uint32_t)table->n_strings - 1);
    return copy;
}

const char *intern_str(struct strtab *table, const char *text) {
    return intern(table, text, strlen(text));
}

void str_plain(char *text) {
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f) *text = '?';
}
