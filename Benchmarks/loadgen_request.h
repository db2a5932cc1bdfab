// loadgen_request.h - the load generator's options, and the request they make.
#pragma once

#include "bench.h"
#include "loadgen_process.h"

#include <stdbool.h>

static struct {
    const char *label;
    const char *model;
    char host[64];
    char path[512];
    int port;
    int connections;
    double rate;
    int warm_up_s;
    int measured_s;
    int drain_s;
    size_t body_bytes;
    bool streams;
    int events;
    long pace_us;
    Bytes headers;
    Processes target;
} options = {.label = "",
             .model = "mock",
             .connections = 16,
             .warm_up_s = 1,
             .measured_s = 5,
             .body_bytes = 1024,
             .events = 200};

static void read_option(int option) {
    switch (option) {
    case 'u':
        if (sscanf(optarg, "http://%63[^:/]:%d%511s", options.host, &options.port, options.path) != 3) {
            fprintf(stderr, "-u takes http://IPv4:PORT/PATH\n");
            exit(2);
        }
        break;
    case 'P':
        processes_add_list(&options.target, optarg);
        break;
    case 'c':
        options.connections = atoi(optarg);
        break;
    case 'r':
        options.rate = atof(optarg);
        break;
    case 'w':
        options.warm_up_s = atoi(optarg);
        break;
    case 'd':
        options.measured_s = atoi(optarg);
        break;
    case 'D':
        options.drain_s = atoi(optarg);
        break;
    case 's':
        options.body_bytes = strtoul(optarg, NULL, 10);
        break;
    case 'S':
        options.streams = true;
        break;
    case 'n':
        options.events = atoi(optarg);
        break;
    case 'g':
        options.pace_us = atol(optarg);
        break;
    case 'm':
        options.model = optarg;
        break;
    case 'H':
        bytes_text(&options.headers, optarg);
        bytes_text(&options.headers, "\r\n");
        break;
    case 'l':
        options.label = optarg;
        break;
    default:
        exit(2);
    }
}

static void read_options(int count, char **arguments) {
    int option;
    while ((option = getopt(count, arguments, "u:P:c:r:w:d:D:s:Sn:g:m:H:l:")) != -1) {
        read_option(option);
    }
    if (options.port == 0) {
        fprintf(stderr, "which gateway? Give -u http://IPv4:PORT/PATH\n");
        exit(2);
    }
}

static bool path_ends(const char *end) {
    size_t length = strlen(options.path);
    return length >= strlen(end) && strcmp(options.path + length - strlen(end), end) == 0;
}

static bool asks_messages(void) {
    return path_ends("/messages");
}

static bool asks_responses(void) {
    return path_ends("/responses");
}

// LM Studio's own API: its input is a text.
static bool asks_native(void) {
    return path_ends("/api/v1/chat");
}

// What stands before the user's text.
static const char *body_opening(void) {
    if (asks_messages()) {
        return "\"system\":\"You are a helpful assistant.\",\"messages\":[{\"role\":\"user\",\"content\":\"";
    }
    if (asks_responses()) {
        return "\"instructions\":\"You are a helpful assistant.\",\"store\":false,"
               "\"input\":[{\"role\":\"user\",\"content\":\"";
    }
    if (asks_native()) {
        return "\"system_prompt\":\"You are a helpful assistant.\",\"store\":false,\"input\":\"";
    }
    return "\"messages\":[{\"role\":\"system\",\"content\":\"You are a helpful assistant.\"},"
           "{\"role\":\"user\",\"content\":\"";
}

// Whether the last event of a stream has the whole text. These also call the limit of a reply's length by another name.
static bool says_all_again(void) {
    return asks_responses() || asks_native();
}

static void append_option(Bytes *body, const char *name, uint64_t value) {
    bytes_text(body, ",\"");
    bytes_text(body, name);
    bytes_text(body, "\":");
    bytes_number(body, value, 10);
}

static void append_filler(Bytes *body, size_t until) {
    while (body->length < until) {
        if (body->length % 97 == 0) {
            bytes_text(body, "\\n");
            continue;
        }
        char letter = body->length % 7 == 0 ? ' ' : (char)('a' + body->length % 26);
        bytes_append(body, &letter, 1);
    }
}

// As clients write it: the model first, the long part in the middle, the settings last.
static Bytes make_body(void) {
    const size_t settings_length = 120;
    Bytes body = {0};
    bytes_text(&body, "{\"model\":\"");
    bytes_text(&body, options.model);
    bytes_text(&body, "\",");
    bytes_text(&body, body_opening());
    bytes_text(&body, "pace=");
    bytes_number(&body, (uint64_t)options.pace_us, 10);
    bytes_text(&body, " ");
    append_filler(&body, options.body_bytes > settings_length ? options.body_bytes - settings_length : 0);
    bytes_text(&body, asks_native() ? "\",\"temperature\":0.7" : "\"}],\"temperature\":0.7");
    append_option(&body, says_all_again() ? "max_output_tokens" : "max_tokens", (uint64_t)options.events);
    bytes_text(&body, options.streams ? ",\"stream\":true}" : "}");
    return body;
}

static Bytes make_request(void) {
    Bytes body = make_body();
    Bytes request = {0};
    bytes_text(&request, "POST ");
    bytes_text(&request, options.path);
    bytes_text(&request, " HTTP/1.1\r\nHost: ");
    bytes_text(&request, options.host);
    bytes_text(&request, ":");
    bytes_number(&request, (uint64_t)options.port, 10);
    bytes_text(&request, "\r\nUser-Agent: loadgen/1\r\nAccept: */*\r\nContent-Type: application/json\r\n");
    if (asks_messages()) {
        bytes_text(&request, "anthropic-version: 2023-06-01\r\n");
    }
    bytes_append(&request, options.headers.data, options.headers.length);
    bytes_text(&request, "Content-Length: ");
    bytes_number(&request, body.length, 10);
    bytes_text(&request, "\r\n\r\n");
    bytes_append(&request, body.data, body.length);
    free(body.data);
    return request;
}
