/* Open addressing with linear probing; the table doubles when three quarters full. */
#include "base.h"

#include <string.h>

struct map_slot {
    const void *key; /* NULL: free */
    size_t length;
    uint32_t hash, value;
};

/* Eight bytes at a time; the multiplication spreads them upwards, the shift back down. */
static uint32_t hash_bytes(const void *key, size_t length) {
    const unsigned char *bytes = key;
    uint64_t hash = length;
    for (size_t at = 0; at < length; at += sizeof hash) {
        uint64_t word = 0;
        memcpy(&word, bytes + at, length - at < sizeof word ? length - at : sizeof word);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    return (uint32_t)hash;
}

void map_init(struct map *map, struct arena *arena) {
    *map = (struct map){.arena = arena};
}

void map_clone(struct map *map, const struct map *of, struct arena *arena) {
    *map = *of;
    map->arena = arena;
    map->slots = arena_copy(arena, of->slots, of->cap * sizeof *of->slots);
}

static struct map_slot *find_slot(const struct map *map, const void *key, size_t length, uint32_t hash) {
    uint32_t mask = map->cap - 1, at = hash & mask;
    for (;; at = (at + 1) & mask) {
        struct map_slot *slot = &map->slots[at];
        if (!slot->key) return slot;
        if (slot->hash == hash && slot->length == length && (!length || !memcmp(slot->key, key, length))) return slot;
    }
}

bool map_get(const struct map *map, const void *key, size_t length, uint32_t *value) {
    if (!map->cap) return false;
    const struct map_slot *slot = find_slot(map, key, length, hash_bytes(key, length));
    if (!slot->key) return false;
    *value = slot->value;
    return true;
}

static void grow(struct map *map) {
    struct map old = *map;
    map->cap = old.cap ? old.cap * 2 : 16;
    map->slots = arena_array(map->arena, map->cap, sizeof *map->slots);
    for (uint32_t i = 0; i < old.cap; i++)
        if (old.slots[i].key) *find_slot(map, old.slots[i].key, old.slots[i].length, old.slots[i].hash) = old.slots[i];
}

void map_put(struct map *map, const void *key, size_t length, uint32_t value) {
    if (map->n + 1 > map->cap / 4 * 3) grow(map);
    uint32_t hash = hash_bytes(key, length);
    struct map_slot *slot = find_slot(map, key, length, hash);
    if (!slot->key) map->n++;
    *slot = (struct map_slot){key ? key : "", length, hash, value};
}
