// mock_upstream.c - a model server that only pretends, and costs far less than any gateway in front of it.
//
//   mock_upstream [-p PORT] [-t THREADS] [-b REPLY_BYTES]
//
// It answers POST /v1/chat/completions, /v1/messages and /v1/responses, GET /v1/models (one model, "mock") and GET
// /health on loopback. A request's JSON body steers the answer: "stream":true asks for a stream, "max_tokens" is the
// number of text deltas, "pace=N" anywhere in a text the pace in microseconds between events (0: all at once). Port 0,
// the default, takes any free port; the ready line names it.
#define _GNU_SOURCE
#include "bench.h"
#include "mock_replies.h"
#include "mock_request.h"
#include "mock_timers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS_PER_WAIT = 256, READ_SIZE = 65536 };

static struct {
    int port;
    int threads;
    size_t reply_bytes;
} options = {.port = 0, .threads = 1, .reply_bytes = 1024};

// Whole replies, one a dialect, made once.
static Bytes replies[DIALECT_COUNT];

typedef struct {
    int fd;
    Bytes in;
    Request request;
    Bytes out;
    size_t out_sent;
    bool waits_writable;
    bool close_when_sent;
    bool streaming;
    Script script;
    uint64_t pace_ns;
    Timer timer;
} Connection;

typedef struct {
    int epoll;
    int listener;
    Timers timers;
    Bytes event;
} Loop;

// ---- Writing ----

static void write_whole(Connection *c, const char *status, const char *body, size_t length, bool with_body) {
    bytes_text(&c->out, "HTTP/1.1 ");
    bytes_text(&c->out, status);
    bytes_text(&c->out, "\r\nContent-Type: application/json\r\nx-request-id: req_mock01\r\nContent-Length: ");
    bytes_number(&c->out, length, 10);
    bytes_text(&c->out, "\r\n\r\n");
    if (with_body) {
        bytes_append(&c->out, body, length);
    }
}

static void write_stream_head(Connection *c) {
    bytes_text(&c->out, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
                        "x-request-id: req_mock01\r\nTransfer-Encoding: chunked\r\n\r\n");
}

// Writes the stream's next event as one chunk, and the last chunk after the last event.
static void write_next_event(Loop *loop, Connection *c) {
    Bytes *event = &loop->event;
    event->length = 0;
    script_next(&c->script, event);
    bytes_number(&c->out, event->length, 16);
    bytes_text(&c->out, "\r\n");
    bytes_append(&c->out, event->data, event->length);
    bytes_text(&c->out, "\r\n");
    if (script_ended(&c->script)) {
        bytes_text(&c->out, "0\r\n\r\n");
        c->streaming = false;
    }
}

static void watch(Loop *loop, Connection *c, int operation) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (c->waits_writable) {
        event.events |= EPOLLOUT;
    }
    epoll_ctl(loop->epoll, operation, c->fd, &event);
}

// Sends what is written so far; false when the connection is of no further use.
static bool flush(Loop *loop, Connection *c) {
    while (c->out_sent < c->out.length) {
        ssize_t sent = send(c->fd, c->out.data + c->out_sent, c->out.length - c->out_sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            break;
        }
        if (sent < 0) {
            return false;
        }
        c->out_sent += (size_t)sent;
    }
    bool all_sent = c->out_sent == c->out.length;
    if (all_sent) {
        c->out.length = 0;
        c->out_sent = 0;
    }
    if (c->waits_writable == all_sent) {
        c->waits_writable = !all_sent;
        watch(loop, c, EPOLL_CTL_MOD);
    }
    return !(all_sent && c->close_when_sent && !c->streaming);
}

// ---- Answering ----

static void start_stream(Loop *loop, Connection *c, Dialect dialect, const char *body, size_t length) {
    script_start(&c->script, dialect, body_events(body, length));
    c->pace_ns = body_pace_ns(body, length);
    c->streaming = true;
    write_stream_head(c);
    write_next_event(loop, c);
    if (c->pace_ns > 0) {
        c->timer.due_ns = now_ns() + c->pace_ns;
        timers_add(&loop->timers, &c->timer);
        return;
    }
    while (c->streaming) {
        write_next_event(loop, c);
    }
}

static void generate(Loop *loop, Connection *c, Dialect dialect, const char *body, size_t length) {
    if (body_wants_stream(body, length)) {
        start_stream(loop, c, dialect, body, length);
    } else {
        write_whole(c, "200 OK", replies[dialect].data, replies[dialect].length, true);
    }
}

static void answer(Loop *loop, Connection *c) {
    const char *head = c->in.data;
    const char *body = head + c->request.head_length;
    size_t length = c->request.body_length;
    bool is_post = strncmp(head, "POST ", 5) == 0;
    bool is_head = strncmp(head, "HEAD ", 5) == 0;
    const char *target = head + strcspn(head, " ") + 1;

    if (is_post && request_asks_for(target, "/v1/chat/completions")) {
        generate(loop, c, DIALECT_CHAT, body, length);
    } else if (is_post && request_asks_for(target, "/v1/messages")) {
        generate(loop, c, DIALECT_MESSAGES, body, length);
    } else if (is_post && request_asks_for(target, "/v1/responses")) {
        generate(loop, c, DIALECT_RESPONSES, body, length);
    } else if (!is_post && request_asks_for(target, "/v1/models")) {
        write_whole(c, "200 OK", models_json, sizeof models_json - 1, !is_head);
    } else if (!is_post && request_asks_for(target, "/health")) {
        write_whole(c, "200 OK", health_json, sizeof health_json - 1, !is_head);
    } else {
        write_whole(c, "404 Not Found", not_found_json, sizeof not_found_json - 1, !is_head);
    }
}

// ---- Reading ----

static bool read_head(Connection *c) {
    if (!request_head(&c->request, &c->in)) {
        return false;
    }
    if (c->request.expects_continue) {
        bytes_text(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
    }
    return true;
}

// Answers the requests that are complete; one that arrives while a stream runs waits for its end.
static void answer_requests(Loop *loop, Connection *c) {
    while (!c->streaming && c->in.length > 0) {
        if (c->request.head_length == 0 && !read_head(c)) {
            return;
        }
        if (!request_body(&c->request, &c->in)) {
            return;
        }
        c->in.data[c->in.length] = 0;
        answer(loop, c);
        c->close_when_sent = c->request.wants_close;
        bytes_drop_front(&c->in, c->request.head_length + c->request.body_length);
        c->request = (Request){0};
    }
}

// False when the peer is gone.
static bool receive(Loop *loop, Connection *c) {
    bytes_reserve(&c->in, READ_SIZE);
    ssize_t received = recv(c->fd, c->in.data + c->in.length, READ_SIZE, 0);
    if (received < 0) {
        return errno == EAGAIN;
    }
    c->in.length += (size_t)received;
    answer_requests(loop, c);
    return received > 0;
}

// ---- The loop ----

static void close_connection(Loop *loop, Connection *c) {
    timers_remove(&loop->timers, &c->timer);
    close(c->fd);
    free(c->in.data);
    free(c->out.data);
    free(c->script.text.data);
    free(c);
}

static void accept_connections(Loop *loop) {
    int on = 1;
    int fd;
    while ((fd = accept4(loop->listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        Connection *c = calloc(1, sizeof *c);
        require(c != NULL, "calloc");
        c->fd = fd;
        c->timer.index = -1;
        watch(loop, c, EPOLL_CTL_ADD);
    }
}

static void handle(Loop *loop, Connection *c, uint32_t events) {
    bool usable = true;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        usable = receive(loop, c);
    }
    if (!usable || !flush(loop, c)) {
        close_connection(loop, c);
    }
}

static void send_due_event(Loop *loop, Connection *c) {
    write_next_event(loop, c);
    if (c->streaming) {
        c->timer.due_ns += c->pace_ns;
        timers_sink(&loop->timers, &c->timer);
    } else {
        timers_remove(&loop->timers, &c->timer);
        answer_requests(loop, c);
    }
    if (!flush(loop, c)) {
        close_connection(loop, c);
    }
}

static void send_due_events(Loop *loop) {
    uint64_t now = now_ns();
    while (loop->timers.count > 0 && loop->timers.items[0]->due_ns <= now) {
        char *timer = (char *)loop->timers.items[0];
        send_due_event(loop, (Connection *)(timer - offsetof(Connection, timer)));
    }
}

static int wait_for_events(Loop *loop, struct epoll_event *events) {
    if (loop->timers.count == 0) {
        return epoll_wait(loop->epoll, events, EVENTS_PER_WAIT, -1);
    }
    uint64_t now = now_ns();
    uint64_t due = loop->timers.items[0]->due_ns;
    struct timespec wait = timespec_of(due > now ? due - now : 0);
    return epoll_pwait2(loop->epoll, events, EVENTS_PER_WAIT, &wait, NULL);
}

static void *run_loop(void *argument) {
    Loop *loop = argument;
    struct epoll_event events[EVENTS_PER_WAIT];
    prctl(PR_SET_TIMERSLACK, 1);
    for (;;) {
        int count = wait_for_events(loop, events);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL) {
                accept_connections(loop);
            } else {
                handle(loop, events[i].data.ptr, events[i].events);
            }
        }
        send_due_events(loop);
    }
    return NULL;
}

// ---- Starting ----

// Listens on options.port, which becomes the port taken when it was 0.
static int listen_on_loopback(void) {
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    require(fd >= 0, "socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)options.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    require(bind(fd, (struct sockaddr *)&address, length) == 0, "bind");
    require(listen(fd, 4096) == 0, "listen");
    getsockname(fd, (struct sockaddr *)&address, &length);
    options.port = ntohs(address.sin_port);
    return fd;
}

static Loop *new_loop(void) {
    Loop *loop = calloc(1, sizeof *loop);
    require(loop != NULL, "calloc");
    loop->epoll = epoll_create1(0);
    loop->listener = listen_on_loopback();
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->listener, &event);
    return loop;
}

static void read_options(int count, char **arguments) {
    int option;
    while ((option = getopt(count, arguments, "p:t:b:")) != -1) {
        switch (option) {
        case 'p':
            options.port = atoi(optarg);
            break;
        case 't':
            options.threads = atoi(optarg);
            break;
        case 'b':
            options.reply_bytes = strtoul(optarg, NULL, 10);
            break;
        default:
            exit(2);
        }
    }
}

int main(int count, char **arguments) {
    read_options(count, arguments);
    signal(SIGPIPE, SIG_IGN);
    for (Dialect dialect = 0; dialect < DIALECT_COUNT; dialect++) {
        whole_reply(dialect, options.reply_bytes, &replies[dialect]);
    }

    Loop *first = new_loop();
    for (int i = 1; i < options.threads; i++) {
        pthread_t thread;
        require(pthread_create(&thread, NULL, run_loop, new_loop()) == 0, "pthread_create");
    }
    printf("mock ready on http://127.0.0.1:%d\n", options.port);
    fflush(stdout);
    run_loop(first);
}
