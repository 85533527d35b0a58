/* A crowd of listeners in one process, on one epoll.
 *
 *     crowd --kind KIND --port PORT --count N [--path PATH] [--rate PER_SECOND] [--in-flight N] [--rest-us N]
 *           [--source 127.0.1.1] [--sources N] [--rcvbuf BYTES] [--zero-ms MS] [--earliest FILE] [--tls]
 *           [--patience-s S]
 *
 * Connects N times, as fast as the server goes with at most --in-flight that have not heard anything yet, or at --rate.
 * It does not sleep in epoll, since waking it up would be charged to the server; --rest-us lets it sleep between looks
 * (for runs in which server and crowd share a core). With --patience-s who has heard nothing for so long tries again, as
 * players do. Lines on stdin: `open` and `close` a measuring window, `status`,
 * `ask PATH` (kind ask), `quit`. Each answer is one line of JSON on stdout; `arrived` is said by itself once each
 * connection has heard something or failed. Times are those of the wall clock. */
#define _GNU_SOURCE
#include "crowd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum kind kind;
struct counts counts;
int64_t zero_ns, step_ns = 240000000;
bool measuring;

static const char *const KINDS[] = {"push",       "websocket", "http",    "ogg",   "fetch", "ask",
                                    "never-read", "sip",       "trickle", "silent"};
static int port, count, sources = 8, in_flight = 500, rest_us, rcvbuf, epoll, pending, asked;
static double rate;
static uint32_t source = 0x7f000101; /* 127.0.1.1 */
static const char *path = "/";
static char request[2048];
static size_t request_bytes;
static SSL_CTX *tls;
static struct connection *connections;
static struct series waits, lives, answers;
static int64_t begun_ns, last_heard_ns, window_ns, patience_ns;
static int dropped_before;
static uint8_t buffer[1 << 18];

int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

void say(struct connection *c, const void *data, size_t size) {
    if (c->tls) SSL_write(c->tls, data, (int)size);
    else if (send(c->fd, data, size, MSG_NOSIGNAL) < 0 && errno != EAGAIN) lost(c, errno);
}

static void forget(struct connection *c) {
    if (!c->heard) pending--;
    if (c->tls) SSL_free(c->tls);
    c->tls = NULL;
    free(c->held);
    c->held = NULL;
    close(c->fd);
    c->stage = CLOSED;
    counts.open--;
}

void lost(struct connection *c, int error) {
    if (c->stage == CLOSED) return;
    if (patience_ns && !c->heard) { /* it still waits, and tries again when its time has come */
        forget(c);
        pending++;
        return;
    }
    add(&lives, (now_ns() - c->begun_ns) / 1000);
    if (c->stage == CONNECTING) counts.refused++;
    else counts.dropped++;
    if (error) counts.reset++;
    else counts.ended++;
    forget(c);
}

void heard_first(struct connection *c, int64_t now) {
    if (c->heard) return;
    c->heard = true;
    pending--;
    counts.heard++;
    add(&waits, (now - c->begun_ns) / 1000);
    last_heard_ns = now;
}

void answer_complete(struct connection *c, int64_t now) {
    counts.answered++;
    add(&answers, now);
    if (kind == FETCH) forget(c);
    else c->stage = IDLE;
}

static size_t build_request(char *into, size_t room, const char *asked_path) {
    bool websocket = kind == PUSH || kind == WEBSOCKET || kind == NEVER_READ || kind == SIP;
    const char *more = websocket ? "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                 : "Accept: */*\r\n";
    return (size_t)snprintf(into, room, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: crowd\r\n%s\r\n",
                            asked_path, port, more);
}

/* --- Opening --- */

static void connected(struct connection *c, int64_t now) {
    counts.connected++;
    if (kind == ASK || kind == TRICKLE || kind == SILENT) {
        c->stage = IDLE;
        c->next_ns = now + 1000000000;
        heard_first(c, now);
        return;
    }
    c->stage = IN_HEAD;
    say(c, request, request_bytes);
    if (kind == NEVER_READ || kind == SIP) {
        c->next_ns = now + 1000000000;
        heard_first(c, now);
    }
}

static void shake_tls(struct connection *c, int64_t now) {
    if (!c->tls) {
        c->tls = SSL_new(tls);
        SSL_set_fd(c->tls, c->fd);
        SSL_set_connect_state(c->tls);
        c->stage = SHAKING_TLS;
    }
    int done = SSL_do_handshake(c->tls);
    int why = done == 1 ? 0 : SSL_get_error(c->tls, done);
    if (done == 1) connected(c, now);
    else if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) lost(c, EPROTO);
}

static void open_one(struct connection *c, int64_t now) {
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(source + (c - connections) % sources)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x7f000001)};
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        perror("socket");
        exit(2);
    }
    setsockopt(c->fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (rcvbuf) setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof rcvbuf);
    if (!c->begun_ns) c->begun_ns = now;
    c->tried_ns = now;
    c->stage = CONNECTING;
    counts.open++;
    pending++;
    if (bind(c->fd, (struct sockaddr *)&from, sizeof from) ||
        (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS)) {
        lost(c, errno);
        return;
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
}

static void open_some(int64_t now) {
    if (!begun_ns) begun_ns = now;
    for (int burst = 0; burst < 64 && counts.opened < count && pending < in_flight; burst++) {
        if (rate > 0 && counts.opened >= rate * (double)(now - begun_ns) / 1e9) return;
        open_one(&connections[counts.opened++], now_ns());
    }
}

static void try_again(int64_t now) {
    for (int i = 0; i < counts.opened; i++) {
        struct connection *c = &connections[i];
        if (c->heard || now - c->tried_ns < patience_ns) continue;
        if (c->stage == CLOSED) pending--;
        else forget(c);
        *c = (struct connection){.begun_ns = c->begun_ns};
        counts.retried++;
        open_one(c, now);
    }
}

/* --- Reading --- */

static void read_all(struct connection *c) {
    size_t most = kind == SIP ? 64 : sizeof buffer;
    while (c->stage != CLOSED) {
        int64_t size = c->tls ? SSL_read(c->tls, buffer, (int)most) : recv(c->fd, buffer, most, 0);
        if (c->tls && size <= 0) {
            int why = SSL_get_error(c->tls, (int)size);
            if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) lost(c, why == SSL_ERROR_ZERO_RETURN ? 0 : EPROTO);
            return;
        }
        if (size < 0 && errno == EAGAIN) return;
        if (size <= 0) {
            lost(c, size < 0 ? errno : 0);
            return;
        }
        if (kind != TRICKLE && kind != SILENT) received(c, buffer, (size_t)size, now_ns());
        if (kind == SIP || (!c->tls && (size_t)size < most)) return;
    }
}

static void happened(struct connection *c, uint32_t events) {
    if (c->stage == CLOSED) return;
    if (events & (EPOLLERR | EPOLLHUP)) {
        read_all(c); /* what came before the end, and the error */
        if (c->stage != CLOSED) lost(c, ECONNRESET);
        return;
    }
    if (c->stage == CONNECTING && events & EPOLLOUT) {
        if (tls) shake_tls(c, now_ns());
        else connected(c, now_ns());
    } else if (c->stage == SHAKING_TLS) {
        shake_tls(c, now_ns());
    }
    if (c->stage == CLOSED || c->stage == CONNECTING || c->stage == SHAKING_TLS) return;
    if (kind == NEVER_READ || kind == SIP) {
        if (events & EPOLLRDHUP) lost(c, 0);
    } else if (events & (EPOLLIN | EPOLLRDHUP)) {
        read_all(c);
        if (events & EPOLLRDHUP && c->stage != CLOSED) read_all(c);
    }
}

/* What the slow do once a second. */
static void dawdle(int64_t now) {
    static const char FIRST[] = "GET / HTTP/1.1\r\nX-Slow: ";
    for (int i = 0; i < counts.opened; i++) {
        struct connection *c = &connections[i];
        if (c->stage == CLOSED || c->stage == CONNECTING || now < c->next_ns) continue;
        c->next_ns += 1000000000;
        if (kind == SIP) read_all(c);
        else say(c, c->seen < sizeof FIRST - 1 ? &FIRST[c->seen] : "a", 1);
        c->seen++;
    }
}

/* --- Saying --- */

static void print_counts(const char *event) {
    printf("{\"event\": \"%s\", \"at_ns\": %lld, \"opened\": %d, \"connected\": %d, \"handshaken\": %d, \"heard\": %d, "
           "\"open\": %d, \"dropped\": %d, \"refused\": %d, \"bad_status\": %d, \"bad_frames\": %d, \"ended\": %d, "
           "\"reset\": %d, \"retried\": %d, \"zero_ms\": %lld, \"close_codes\": {",
           event, (long long)now_ns(), counts.opened, counts.connected, counts.handshaken, counts.heard, counts.open,
           counts.dropped, counts.refused, counts.bad_status, counts.bad_frames, counts.ended, counts.reset,
           counts.retried, (long long)(zero_ns / 1000000));
    const char *comma = "";
    for (int code = 0; code < 5000; code++) {
        if (!counts.close_codes[code]) continue;
        printf("%s\"%d\": %d", comma, code, counts.close_codes[code]);
        comma = ", ";
    }
    printf("}, ");
}

static void end_line(void) {
    printf("}\n");
    fflush(stdout);
}

static void say_arrived(void) {
    print_counts("arrived");
    printf("\"begun_ns\": %lld, \"last_heard_ns\": %lld, ", (long long)begun_ns, (long long)last_heard_ns);
    print_series("first_byte_us", &waits);
    end_line();
}

static void say_status(void) {
    print_counts("status");
    print_series("life_us", &lives); /* of those that are gone: from connect to the end */
    end_line();
}

static void say_answered(void) {
    print_counts("answered");
    printf("\"asked\": %d, ", asked);
    int64_t first = INT64_MAX;
    for (size_t i = 0; i < answers.count; i++)
        if (answers.values[i] < first) first = answers.values[i];
    for (size_t i = 0; i < answers.count; i++) answers.values[i] = (answers.values[i] - first) / 1000;
    printf("\"first_ns\": %lld, ", answers.count ? (long long)first : 0LL);
    print_series("after_first_us", &answers);
    end_line();
    answers.count = 0;
    asked = 0;
}

static void open_window(void) {
    for (int i = 0; i < counts.opened; i++) connections[i].window_bytes = 0;
    forget_lags();
    window_ns = now_ns();
    dropped_before = counts.dropped;
    measuring = true;
    printf("{\"event\": \"opened\"}");
    printf("\n");
    fflush(stdout);
}

static void close_window(void) {
    double seconds = (double)(now_ns() - window_ns) / 1e9;
    struct series bytes = {0};
    measuring = false;
    for (int i = 0; i < counts.opened; i++)
        if (connections[i].stage != CLOSED) add(&bytes, (int64_t)connections[i].window_bytes);
    print_counts("window");
    printf("\"seconds\": %.6f, \"dropped_in_window\": %d, ", seconds, counts.dropped - dropped_before);
    print_series("bytes", &bytes);
    printf(", ");
    print_lags();
    end_line();
    free(bytes.values);
}

static void ask(const char *asked_path) {
    char line[2048];
    size_t size = build_request(line, sizeof line, asked_path);
    counts.answered = 0;
    for (int i = 0; i < counts.opened; i++) {
        struct connection *c = &connections[i];
        if (c->stage != IDLE) continue;
        c->stage = IN_HEAD;
        c->http = 0;
        asked++;
        say(c, line, size);
    }
    printf("{\"event\": \"asked\", \"count\": %d, \"at_ns\": %lld}\n", asked, (long long)now_ns());
    fflush(stdout);
}

/* Obeys the lines on stdin; false when it has ended or said quit. */
static bool obey(void) {
    static char lines[4096];
    static size_t have;
    ssize_t size = read(0, lines + have, sizeof lines - have - 1);
    if (size <= 0) return size < 0 && errno == EAGAIN;
    have += (size_t)size;
    lines[have] = 0;
    char *line = lines, *end;
    while ((end = strchr(line, '\n'))) {
        *end = 0;
        if (!strcmp(line, "open")) open_window();
        else if (!strcmp(line, "close")) close_window();
        else if (!strcmp(line, "status")) say_status();
        else if (!strncmp(line, "ask ", 4)) ask(line + 4);
        else if (!strcmp(line, "quit")) return false;
        line = end + 1;
    }
    have -= (size_t)(line - lines);
    memmove(lines, line, have);
    return true;
}

static void run(void) {
    struct epoll_event events[512];
    bool said_arrived = false, listening = true;
    int64_t next_slow = 0;
    while (listening) {
        int64_t now = now_ns();
        if (counts.opened < count) open_some(now);
        int ready = epoll_wait(epoll, events, 512, 0);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.ptr) happened(events[i].data.ptr, events[i].events);
            else listening = obey();
        }
        if ((kind == SIP || kind == TRICKLE) && now >= next_slow) {
            next_slow = now + 100000000;
            dawdle(now);
        }
        if (patience_ns && !said_arrived && now >= next_slow) {
            next_slow = now + 100000000;
            try_again(now);
        }
        if (!said_arrived && counts.opened == count && !pending) {
            said_arrived = true;
            say_arrived();
        }
        if (asked && counts.answered + (asked > counts.open ? asked - counts.open : 0) >= asked) say_answered();
        if (ready < 16 && rest_us) usleep((useconds_t)rest_us);
    }
}

static void options(int argc, char **argv) {
    static const struct option known[] = {
        {"kind", 1, 0, 'k'},    {"port", 1, 0, 'p'},    {"count", 1, 0, 'n'},   {"path", 1, 0, 'u'},
        {"rate", 1, 0, 'r'},    {"in-flight", 1, 0, 'f'}, {"rest-us", 1, 0, 'z'}, {"source", 1, 0, 's'},
        {"sources", 1, 0, 'm'}, {"rcvbuf", 1, 0, 'b'},  {"zero-ms", 1, 0, '0'}, {"earliest", 1, 0, 'e'},
        {"tls", 0, 0, 't'},     {"patience-s", 1, 0, 'a'}, {0, 0, 0, 0}};
    const char *earliest = NULL;
    int kind_number = -1;
    for (int flag; (flag = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (flag == 'k')
            for (int i = 0; i < (int)(sizeof KINDS / sizeof *KINDS); i++)
                if (!strcmp(optarg, KINDS[i])) kind_number = i;
        if (flag == 'p') port = atoi(optarg);
        if (flag == 'n') count = atoi(optarg);
        if (flag == 'u') path = optarg;
        if (flag == 'r') rate = atof(optarg);
        if (flag == 'f') in_flight = atoi(optarg);
        if (flag == 'z') rest_us = atoi(optarg);
        if (flag == 's') source = ntohl(inet_addr(optarg));
        if (flag == 'm') sources = atoi(optarg);
        if (flag == 'b') rcvbuf = atoi(optarg);
        if (flag == '0') zero_ns = atoll(optarg) * 1000000;
        if (flag == 'a') patience_ns = (int64_t)(atof(optarg) * 1e9);
        if (flag == 'e') earliest = optarg;
        if (flag == 't') tls = SSL_CTX_new(TLS_client_method());
        if (flag == '?') exit(2);
    }
    if (kind_number < 0 || port <= 0 || count <= 0 || sources <= 0) {
        fprintf(stderr, "crowd --kind KIND --port PORT --count N [--path PATH] … (see crowd.c)\n");
        exit(2);
    }
    kind = (enum kind)kind_number;
    if (tls) SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
    share_earliest(earliest);
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    options(argc, argv);
    request_bytes = build_request(request, sizeof request, path);
    connections = calloc((size_t)count, sizeof *connections);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event commands = {.events = EPOLLIN, .data.ptr = NULL};
    if (!connections || epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &commands)) {
        perror("crowd");
        return 2;
    }
    run();
    return 0;
}
