// mock_timers.h - the paced streams of one loop, ordered by when their next event is due (a binary heap).
#pragma once

#include "bench.h"

// Lies inside the thing that waits; `index` is its place in the heap, -1 while it does not wait.
typedef struct {
    uint64_t due_ns;
    int index;
} Timer;

typedef struct {
    Timer **items;
    int count;
    int capacity;
} Timers;

static inline void timers_put(Timers *timers, int index, Timer *timer) {
    timers->items[index] = timer;
    timer->index = index;
}

static inline void timers_rise(Timers *timers, Timer *timer) {
    int index = timer->index;
    while (index > 0) {
        Timer *parent = timers->items[(index - 1) / 2];
        if (parent->due_ns <= timer->due_ns) {
            break;
        }
        timers_put(timers, index, parent);
        index = (index - 1) / 2;
    }
    timers_put(timers, index, timer);
}

static inline void timers_sink(Timers *timers, Timer *timer) {
    int index = timer->index;
    for (;;) {
        int child = 2 * index + 1;
        if (child >= timers->count) {
            break;
        }
        if (child + 1 < timers->count && timers->items[child + 1]->due_ns < timers->items[child]->due_ns) {
            child++;
        }
        if (timer->due_ns <= timers->items[child]->due_ns) {
            break;
        }
        timers_put(timers, index, timers->items[child]);
        index = child;
    }
    timers_put(timers, index, timer);
}

static inline void timers_add(Timers *timers, Timer *timer) {
    if (timers->count == timers->capacity) {
        timers->capacity = timers->capacity ? timers->capacity * 2 : 64;
        timers->items = resized(timers->items, (size_t)timers->capacity * sizeof *timers->items);
    }
    timers_put(timers, timers->count++, timer);
    timers_rise(timers, timer);
}

static inline void timers_remove(Timers *timers, Timer *timer) {
    if (timer->index < 0) {
        return;
    }
    int index = timer->index;
    timer->index = -1;
    Timer *last = timers->items[--timers->count];
    if (last == timer) {
        return;
    }
    timers_put(timers, index, last);
    timers_rise(timers, last);
    timers_sink(timers, last);
}
