// loadgen_process.h - what a set of processes, their children included, has cost: CPU time and memory.
#pragma once

#include "bench.h"

#include <unistd.h>

enum { MAX_PROCESSES = 256 };

typedef struct {
    pid_t pids[MAX_PROCESSES];
    int count;
} Processes;

// CPU time used so far. `user_ns` is counted in clock ticks, so it is coarse; `total_ns` is exact.
typedef struct {
    uint64_t total_ns;
    uint64_t user_ns;
} CPUTime;

static inline void processes_add_with_children(Processes *all, pid_t pid) {
    char path[64];
    char line[4096];
    if (all->count == MAX_PROCESSES) {
        return;
    }
    all->pids[all->count++] = pid;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return;
    }
    char *rest = fgets(line, sizeof line, file);
    fclose(file);
    if (rest == NULL) {
        return;
    }
    for (char *child; (child = strtok_r(rest, " \n", &rest)) != NULL;) {
        processes_add_with_children(all, (pid_t)atoi(child));
    }
}

// Adds the processes of a list such as "12,34".
static inline void processes_add_list(Processes *all, char *list) {
    for (char *pid; (pid = strtok_r(list, ",", &list)) != NULL;) {
        processes_add_with_children(all, (pid_t)atoi(pid));
    }
}

static inline uint64_t process_cpu_ns(pid_t pid) {
    clockid_t clock;
    struct timespec time = {0};
    int known = clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &time) == 0;
    if (!known) {
        fprintf(stderr, "process %d does not run (any more)\n", pid);
        exit(1);
    }
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static inline uint64_t process_user_ns(pid_t pid) {
    char path[64];
    char text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return 0;
    }
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    unsigned long ticks = 0;
    const char *after_name = strrchr(text, ')');
    if (after_name != NULL) {
        sscanf(after_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu", &ticks);
    }
    return ticks * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
}

static inline CPUTime processes_cpu(const Processes *all) {
    CPUTime sum = {0};
    for (int i = 0; i < all->count; i++) {
        sum.total_ns += process_cpu_ns(all->pids[i]);
        sum.user_ns += process_user_ns(all->pids[i]);
    }
    return sum;
}

// The sum of a line of /proc/PID/status, such as "VmRSS:", in KiB.
static inline long processes_memory_kib(const Processes *all, const char *key) {
    long sum = 0;
    for (int i = 0; i < all->count; i++) {
        char path[64];
        char line[256];
        snprintf(path, sizeof path, "/proc/%d/status", all->pids[i]);
        FILE *file = fopen(path, "r");
        if (file == NULL) {
            continue;
        }
        while (fgets(line, sizeof line, file) != NULL) {
            if (strncmp(line, key, strlen(key)) == 0) {
                sum += atol(line + strlen(key));
            }
        }
        fclose(file);
    }
    return sum;
}

// Clock ticks of the whole machine since it started: `busy` of `all`, over every core.
typedef struct {
    uint64_t busy;
    uint64_t all;
} MachineTime;

static inline MachineTime machine_time(void) {
    unsigned long ticks[8] = {0};
    FILE *file = fopen("/proc/stat", "r");
    if (file != NULL) {
        int read = fscanf(file, "cpu %lu %lu %lu %lu %lu %lu %lu %lu", &ticks[0], &ticks[1], &ticks[2], &ticks[3],
                          &ticks[4], &ticks[5], &ticks[6], &ticks[7]);
        (void)read;
        fclose(file);
    }
    MachineTime time = {0};
    for (int i = 0; i < 8; i++) {
        time.all += ticks[i];
    }
    time.busy = time.all - ticks[3] - ticks[4];
    return time;
}
