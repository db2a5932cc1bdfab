// loadgen.c - asks a gateway for answers and measures their latency and what they cost the gateway in CPU and memory.
//
//   loadgen -u http://127.0.0.1:PORT/v1/chat/completions -P PID[,PID...]
//           [-c CONNECTIONS] [-r REQUESTS_PER_SECOND] [-w WARM_UP_S] [-d MEASURED_S] [-D DRAIN_S]
//           [-s BODY_BYTES] [-S] [-n EVENTS] [-g PACE_US] [-m MODEL] [-H 'NAME: VALUE'] [-l LABEL]
//
// Closed loop by default: each connection asks again as soon as it has its answer. With -r an open loop: requests
// start on a fixed schedule and latency counts from the scheduled time. -S asks for streams of -n events, one each
// -g microseconds; the first requests of a closed loop are then spread over one such pace. A URL that ends in
// /messages, /responses or /api/v1/chat gets a request of that API. After -d seconds nothing new starts; -D waits for
// what is under way.
//
// Prints one JSON line. cpu_us_* is user and system time of the processes, their children included, over the measured
// time; ev_* the delay of the mock upstream's time stamps; rss_* in KiB, rss_mid half way; an error is a reply that
// broke off, was not complete, or had no 2xx status.
#define _GNU_SOURCE
#include "bench.h"
#include "loadgen_process.h"
#include "loadgen_reply.h"
#include "loadgen_request.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>

enum { EVENTS_PER_WAIT = 256, READ_SIZE = 256 * 1024 };
static const uint64_t SECOND = 1000000000u;
static const uint64_t LATE_NS = 1000000u;

typedef struct {
    int fd;
    bool busy;
    bool waits_writable;
    uint64_t started_at;
    size_t sent;
    Reply reply;
} Connection;

static struct {
    int epoll;
    struct sockaddr_in address;
    Bytes request;
    Connection *connections;
    Connection **idle;
    int idle_count;
    uint64_t begun_at;
    uint64_t started;
    bool stopping;
} run;

// What is told at the end. Samples and counts of the warm-up are thrown away, errors are not.
static struct {
    bool on;
    uint64_t since;
    CPUTime cpu_at_start;
    MachineTime machine_at_start;
    uint64_t done;
    uint64_t failed;
    uint64_t refused;
    uint64_t late;
    Samples first_byte;
    Samples total;
    Samples delays;
    long rss_start;
    long rss_mid;
    int open_mid;
} measured;

// ---- Connections ----

static void watch(Connection *c, int operation) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (c->waits_writable) {
        event.events |= EPOLLOUT;
    }
    epoll_ctl(run.epoll, operation, c->fd, &event);
}

static void open_connection(Connection *c) {
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    require(c->fd >= 0, "socket");
    require(connect(c->fd, (struct sockaddr *)&run.address, sizeof run.address) == 0, "connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->waits_writable = false;
    watch(c, EPOLL_CTL_ADD);
}

static void reopen_connection(Connection *c) {
    close(c->fd);
    open_connection(c);
}

static void make_idle(Connection *c) {
    c->busy = false;
    run.idle[run.idle_count++] = c;
}

// Sends the rest of the request as far as the socket takes it. A dead socket shows itself when it is read.
static void send_request(Connection *c) {
    bool blocked = false;
    while (c->sent < run.request.length && !blocked) {
        const char *rest = run.request.data + c->sent;
        ssize_t sent = send(c->fd, rest, run.request.length - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN) {
            return;
        }
        blocked = sent < 0;
        c->sent += blocked ? 0 : (size_t)sent;
    }
    if (c->waits_writable != blocked) {
        c->waits_writable = blocked;
        watch(c, EPOLL_CTL_MOD);
    }
}

static void start_request(Connection *c, uint64_t at) {
    c->busy = true;
    c->sent = 0;
    c->started_at = at;
    reply_start(&c->reply, says_all_again() ? options.events : INT_MAX);
    run.started++;
    send_request(c);
}

// ---- Replies ----

// Whether the reply is what was asked for: 2xx, and a whole JSON object or every event of the stream.
static bool is_good(const Reply *reply) {
    if (reply->stage != STAGE_COMPLETE || reply->status / 100 != 2) {
        return false;
    }
    return options.streams ? reply->events == options.events : reply->last_byte == '}';
}

static void show_first_failure(const Reply *reply) {
    if (measured.failed + measured.refused > 0) {
        return;
    }
    fprintf(stderr, "first failed reply: stage %d, status %d, %d events; its head:\n%.*s\n", reply->stage,
            reply->status, reply->events, (int)reply->head_length, reply->head);
}

static void finish_request(Connection *c, uint64_t now) {
    const Reply *reply = &c->reply;
    if (is_good(reply)) {
        measured.done++;
        if (measured.on) {
            samples_add(&measured.total, now - c->started_at);
        }
    } else {
        show_first_failure(reply);
        bool refused = reply->stage == STAGE_COMPLETE && reply->status / 100 != 2;
        *(refused ? &measured.refused : &measured.failed) += 1;
    }
    if (reply->closes || reply->stage == STAGE_BROKEN) {
        reopen_connection(c);
    }
    make_idle(c);
}

static void receive(Connection *c) {
    static char buffer[READ_SIZE];
    ssize_t received = recv(c->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (received < 0 && errno == EAGAIN) {
        return;
    }
    if (!c->busy) {
        reopen_connection(c);
        return;
    }
    uint64_t now = now_ns();
    Reply *reply = &c->reply;
    bool had_body = reply->has_body;
    if (received > 0) {
        reply_read(reply, buffer, (size_t)received, now, &measured.delays);
    } else {
        reply_closed(reply);
    }
    if (!had_body && reply->has_body && measured.on) {
        samples_add(&measured.first_byte, now - c->started_at);
    }
    if (reply->stage >= STAGE_COMPLETE) {
        finish_request(c, now);
    }
}

// ---- The run ----

static uint64_t measured_from(void) {
    return run.begun_at + (uint64_t)options.warm_up_s * SECOND;
}

static uint64_t measured_until(void) {
    return measured_from() + (uint64_t)options.measured_s * SECOND;
}

// When the next request is to start.
static uint64_t next_start(void) {
    if (options.rate > 0) {
        return run.begun_at + (uint64_t)((double)run.started * (double)SECOND / options.rate);
    }
    uint64_t connections = (uint64_t)options.connections;
    if (!options.streams || run.started >= connections) {
        return 0;
    }
    return run.begun_at + run.started * (uint64_t)options.pace_us * 1000 / connections;
}

static void start_due_requests(void) {
    while (!run.stopping && run.idle_count > 0) {
        uint64_t now = now_ns();
        uint64_t due = next_start();
        if (due > now) {
            return;
        }
        bool open_loop = options.rate > 0;
        measured.late += open_loop && now - due > LATE_NS;
        start_request(run.idle[--run.idle_count], open_loop ? due : now);
    }
}

static int streams_open(void) {
    int open = 0;
    for (int i = 0; i < options.connections; i++) {
        open += run.connections[i].busy && run.connections[i].reply.has_body;
    }
    return open;
}

static void note_progress(uint64_t now) {
    if (!measured.on && now >= measured_from()) {
        measured.on = true;
        measured.since = now;
        measured.done = 0;
        measured.late = 0;
        measured.delays.count = 0;
        measured.cpu_at_start = processes_cpu(&options.target);
        measured.machine_at_start = machine_time();
    }
    if (measured.rss_mid == 0 && now >= (measured_from() + measured_until()) / 2) {
        measured.rss_mid = processes_memory_kib(&options.target, "VmRSS:");
        measured.open_mid = streams_open();
    }
}

// Waits until something arrives or a request has to start, 50 ms at most.
static void serve_connections(void) {
    struct epoll_event events[EVENTS_PER_WAIT];
    uint64_t now = now_ns();
    uint64_t wait_ns = SECOND / 20;
    if (run.idle_count > 0 && !run.stopping) {
        uint64_t due = next_start();
        uint64_t until_due = due > now ? due - now : 0;
        wait_ns = until_due < wait_ns ? until_due : wait_ns;
    }
    struct timespec wait = timespec_of(wait_ns);
    int count = epoll_pwait2(run.epoll, events, EVENTS_PER_WAIT, &wait, NULL);
    for (int i = 0; i < count; i++) {
        Connection *c = events[i].data.ptr;
        if (events[i].events & EPOLLOUT) {
            send_request(c);
        }
        if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
            receive(c);
        }
    }
}

static void open_connections(void) {
    run.address.sin_family = AF_INET;
    run.address.sin_port = htons((uint16_t)options.port);
    if (inet_pton(AF_INET, options.host, &run.address.sin_addr) != 1) {
        fprintf(stderr, "the host must be an IPv4 address, not %s\n", options.host);
        exit(2);
    }
    size_t count = (size_t)options.connections;
    run.epoll = epoll_create1(0);
    run.connections = calloc(count, sizeof *run.connections);
    run.idle = calloc(count, sizeof *run.idle);
    require(run.connections != NULL && run.idle != NULL, "calloc");
    for (size_t i = 0; i < count; i++) {
        open_connection(&run.connections[i]);
        make_idle(&run.connections[i]);
    }
}

static void drive(void) {
    run.begun_at = now_ns();
    for (uint64_t now; (now = now_ns()) < measured_until();) {
        note_progress(now);
        start_due_requests();
        serve_connections();
    }
}

static void drain(void) {
    uint64_t until = now_ns() + (uint64_t)options.drain_s * SECOND;
    run.stopping = true;
    while (run.idle_count < options.connections && now_ns() < until) {
        serve_connections();
    }
}

// ---- The result ----

static double ratio(double value, double base) {
    return base > 0 ? value / base : 0;
}

static void print_shares(const char *name, Samples *samples) {
    qsort(samples->values, samples->count, sizeof *samples->values, samples_order);
    printf(",\"%s_p50\":%.1f", name, samples_share_us(samples, 0.5));
    printf(",\"%s_p99\":%.1f", name, samples_share_us(samples, 0.99));
}

// Prints the numbers of the measured time, then drains and prints the rest.
static void report(void) {
    double seconds = (double)(now_ns() - measured.since) / (double)SECOND;
    double done = (double)measured.done;
    double events = (double)measured.delays.count;
    CPUTime cpu = processes_cpu(&options.target);
    MachineTime machine = machine_time();
    double cpu_us = (double)(cpu.total_ns - measured.cpu_at_start.total_ns) / 1000;
    double user_us = (double)(cpu.user_ns - measured.cpu_at_start.user_ns) / 1000;
    double machine_busy = (double)(machine.busy - measured.machine_at_start.busy);
    double machine_all = (double)(machine.all - measured.machine_at_start.all);

    printf("{\"label\":\"%s\",\"seconds\":%.3f", options.label, seconds);
    printf(",\"reqs\":%.0f,\"rps\":%.1f", done, done / seconds);
    printf(",\"events\":%.0f,\"events_per_s\":%.1f", events, events / seconds);
    printf(",\"cpu_us_req\":%.3f,\"user_us_req\":%.3f", ratio(cpu_us, done), ratio(user_us, done));
    printf(",\"cpu_us_event\":%.4f", ratio(cpu_us, events));
    printf(",\"cpu_util\":%.3f,\"machine_busy\":%.3f", cpu_us / 1e6 / seconds, ratio(machine_busy, machine_all));
    print_shares("ttfb", &measured.first_byte);
    print_shares("total", &measured.total);
    print_shares("ev", &measured.delays);
    printf(",\"rss_start\":%ld,\"rss_mid\":%ld", measured.rss_start, measured.rss_mid);
    printf(",\"rss_end\":%ld", processes_memory_kib(&options.target, "VmRSS:"));
    printf(",\"rss_peak\":%ld", processes_memory_kib(&options.target, "VmHWM:"));
    printf(",\"open_mid\":%d,\"late\":%lu", measured.open_mid, measured.late);
    drain();
    printf(",\"started\":%lu,\"unfinished\":%d", run.started, options.connections - run.idle_count);
    printf(",\"errs\":%lu,\"non2xx\":%lu}\n", measured.failed, measured.refused);
}

int main(int count, char **arguments) {
    read_options(count, arguments);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1);
    run.request = make_request();
    measured.rss_start = processes_memory_kib(&options.target, "VmRSS:");
    open_connections();
    drive();
    report();
    return 0;
}
