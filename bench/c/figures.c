/* Distributions, and how late blocks come.
 *
 * A distribution is said as {"count", "min", "max", "sum", "histogram": [[value, count], ...]}; values of the histogram
 * are exact to 1/64 (1.6 %), so that those of several processes can be added up. */
#include "crowd.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define STEPS 65536

struct block {
    int64_t arrival_ns;
    uint32_t step;
};

static _Atomic int64_t *earliest;
static struct block *blocks;
static size_t block_count, block_room;

void add(struct series *series, int64_t value) {
    if (series->count == series->room) {
        series->room = series->room ? 2 * series->room : 1024;
        series->values = realloc(series->values, series->room * sizeof *series->values);
        if (!series->values) abort();
    }
    series->values[series->count++] = value;
}

static int ascending(const void *left, const void *right) {
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

/* Keeps the seven highest bits of a number. */
static int64_t rounded(int64_t value) {
    if (value < 128) return value < 0 ? 0 : value;
    int shift = 57 - __builtin_clzll((unsigned long long)value);
    return value >> shift << shift;
}

void print_series(const char *name, struct series *series) {
    qsort(series->values, series->count, sizeof *series->values, ascending);
    int64_t sum = 0;
    for (size_t i = 0; i < series->count; i++) sum += series->values[i];
    printf("\"%s\": {\"count\": %zu, \"min\": %lld, \"max\": %lld, \"sum\": %lld, \"histogram\": [", name, series->count,
           series->count ? (long long)series->values[0] : 0LL,
           series->count ? (long long)series->values[series->count - 1] : 0LL, (long long)sum);
    for (size_t i = 0; i < series->count;) {
        int64_t value = rounded(series->values[i]);
        size_t first = i;
        while (i < series->count && rounded(series->values[i]) == value) i++;
        printf("%s[%lld, %zu]", first ? ", " : "", (long long)value, i - first);
    }
    printf("]}");
}

void share_earliest(const char *path) {
    size_t size = STEPS * sizeof *earliest;
    int fd = path ? open(path, O_RDWR | O_CREAT, 0600) : -1;
    if (path && (fd < 0 || ftruncate(fd, (off_t)size))) {
        perror(path);
        exit(2);
    }
    earliest = mmap(NULL, size, PROT_READ | PROT_WRITE, path ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, fd, 0);
    if (earliest == MAP_FAILED) abort();
    if (fd >= 0) close(fd);
}

void note_block(uint64_t step, int64_t now, bool measured) {
    int64_t known = earliest[step % STEPS];
    while ((known == 0 || now < known) && !atomic_compare_exchange_weak(&earliest[step % STEPS], &known, now)) {
    }
    if (!measured) return;
    if (block_count == block_room) {
        block_room = block_room ? 2 * block_room : 65536;
        blocks = realloc(blocks, block_room * sizeof *blocks);
        if (!blocks) abort();
    }
    blocks[block_count++] = (struct block){now, (uint32_t)step};
}

/* "lag_us" is from the end of a block's last step on the room's clock; "late_us" from the earliest arrival of the same
 * block at any listener of the run. */
void print_lags(void) {
    struct series lags = {0}, late = {0};
    for (size_t i = 0; i < block_count; i++) {
        if (zero_ns) add(&lags, (blocks[i].arrival_ns - zero_ns - (blocks[i].step + 1) * step_ns) / 1000);
        add(&late, (blocks[i].arrival_ns - earliest[blocks[i].step % STEPS]) / 1000);
    }
    print_series("lag_us", &lags);
    printf(", ");
    print_series("late_us", &late);
    free(lags.values);
    free(late.values);
}

void forget_lags(void) { block_count = 0; }
