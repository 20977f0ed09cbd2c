/* A wall clock that is off by the seconds that stand in a file: preloaded into the processes of a fault test (machines.py).
 *
 * libfaketime would be the usual way; but its clock_nanosleep refuses the absolute deadlines with which Python sleeps.
 * What measures durations (CLOCK_MONOTONIC and its kin) stays true, as on a machine whose clock somebody sets.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *offset;
static int (*true_clock)(clockid_t, struct timespec *);
static int (*true_day)(struct timeval *restrict, void *restrict);

__attribute__((constructor)) static void look(void) {
    true_clock = dlsym(RTLD_NEXT, "clock_gettime");
    true_day = dlsym(RTLD_NEXT, "gettimeofday");
    const char *path = getenv("CLOCK_OFFSET_FILE");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *page = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (page != MAP_FAILED) offset = page;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = true_clock(clock, now);
    if (!failed && offset && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += *offset;
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int failed = true_day(now, zone);
    if (!failed && offset) now->tv_sec += *offset;
    return failed;
}

time_t time(time_t *into) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (into) *into = now.tv_sec;
    return now.tv_sec;
}
