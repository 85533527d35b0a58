/* The least that a push server can be: accepts, answers the handshake, and sends a block to each listener when it is due.
 *
 *     bare --port PORT --block-bytes N --block-steps K
 *
 * The yardstick of bench.fanout: the same bytes at the same cadence, with one plain send a listener and block. Listeners
 * lie in 16 buckets; at the end of each step of 0.24 s those buckets are due whose number is the step's modulo K, as at an
 * edge. Blocks carry our 16-byte header, so that a crowd can tell how late they come; the rest of them is noise. It says
 * "ready" on stdout. One thread; nobody is ever cut for being slow, what does not fit is left out and counted. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUCKETS 16
#define MOST 20000
#define STEP_NS 240000000LL
#define SEGMENT_NS (8 * STEP_NS)

static int epoll, door, port, block_bytes, block_steps = 1, next_bucket;
static int buckets[BUCKETS][MOST], bucket_sizes[BUCKETS];
static uint8_t bucket_of[MOST];
static int place_of[MOST]; /* in its bucket, from 1; 0: has not shaken hands */
static uint8_t frame[1 << 17], hello[512];
static size_t frame_bytes, hello_bytes;
static int64_t zero_ns;
static long left_out;

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void build(void) {
    char text[120];
    int size = snprintf(text, sizeof text, "{\"type\": \"hello\", \"step_s\": 0.24, \"zero_ms\": %lld}",
                        (long long)(zero_ns / 1000000));
    hello_bytes = (size_t)snprintf((char *)hello, sizeof hello,
                                   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                   "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n%c%c%s",
                                   0x81, size, text);
    int head = block_bytes < 126 ? 2 : block_bytes < 65536 ? 4 : 10;
    frame[0] = 0x82;
    if (head == 2) frame[1] = (uint8_t)block_bytes;
    if (head == 4) frame[1] = 126, frame[2] = (uint8_t)(block_bytes >> 8), frame[3] = (uint8_t)block_bytes;
    if (head == 10) frame[1] = 127, frame[7] = (uint8_t)(block_bytes >> 16), frame[8] = (uint8_t)(block_bytes >> 8),
                    frame[9] = (uint8_t)block_bytes;
    for (int i = head; i < head + block_bytes; i++) frame[i] = (uint8_t)rand();
    frame[head] = 1; /* version */
    frame[head + 1] = 2; /* media */
    frame_bytes = (size_t)(head + block_bytes);
}

static void send_due(int64_t step) {
    uint8_t *header = frame + (frame_bytes - (size_t)block_bytes);
    for (int i = 0; i < 8; i++) header[8 + i] = (uint8_t)(step >> 8 * (7 - i));
    for (int bucket = 0; bucket < BUCKETS; bucket++) {
        if (bucket % block_steps != step % block_steps) continue;
        for (int i = 0; i < bucket_sizes[bucket]; i++)
            if (send(buckets[bucket][i], frame, frame_bytes, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)frame_bytes)
                left_out++;
    }
}

static void leave(int fd) {
    if (place_of[fd]) {
        int *bucket = buckets[bucket_of[fd]], last = bucket[--bucket_sizes[bucket_of[fd]]];
        bucket[place_of[fd] - 1] = last;
        place_of[last] = place_of[fd];
        place_of[fd] = 0;
    }
    close(fd);
}

static void enter(int fd) {
    int bucket = next_bucket++ % BUCKETS;
    bucket_of[fd] = (uint8_t)bucket;
    buckets[bucket][bucket_sizes[bucket]++] = fd;
    place_of[fd] = bucket_sizes[bucket];
    if (send(fd, hello, hello_bytes, MSG_NOSIGNAL) < 0) leave(fd);
}

static void accept_all(void) {
    int one = 1, fd;
    while ((fd = accept4(door, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (fd >= MOST) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.fd = fd};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

static void heard_from(int fd) {
    char data[4096];
    ssize_t size = recv(fd, data, sizeof data, 0);
    if (size == 0 || (size < 0 && errno != EAGAIN)) leave(fd);
    else if (size > 0 && !place_of[fd]) enter(fd);
}

static void run(void) {
    struct epoll_event events[256];
    int64_t step = (now_ns() - zero_ns) / STEP_NS;
    for (;;) {
        int64_t due = zero_ns + (step + 1) * STEP_NS, wait = due - now_ns();
        if (wait <= 0) {
            send_due(step++);
            continue;
        }
        struct timespec timeout = {.tv_sec = wait / 1000000000, .tv_nsec = wait % 1000000000};
        int ready = epoll_pwait2(epoll, events, 256, &timeout, NULL);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == door) accept_all();
            else heard_from(events[i].data.fd);
        }
    }
}

static void finish(int number) {
    (void)number;
    _exit(left_out ? 3 : 0); /* some did not get all: the run is void */
}

int main(int argc, char **argv) {
    static const struct option known[] = {
        {"port", 1, 0, 'p'}, {"block-bytes", 1, 0, 'b'}, {"block-steps", 1, 0, 'k'}, {0, 0, 0, 0}};
    for (int flag; (flag = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (flag == 'p') port = atoi(optarg);
        if (flag == 'b') block_bytes = atoi(optarg);
        if (flag == 'k') block_steps = atoi(optarg);
    }
    if (port <= 0 || block_bytes < 16 || block_bytes > 130000 || block_steps < 1) {
        fprintf(stderr, "bare --port PORT --block-bytes N --block-steps K\n");
        return 2;
    }
    signal(SIGTERM, finish);
    zero_ns = now_ns() / SEGMENT_NS * SEGMENT_NS;
    build();
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x7f000001)};
    int one = 1;
    door = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = door};
    if (bind(door, (struct sockaddr *)&here, sizeof here) || listen(door, 4096) ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, door, &event)) {
        perror("bare");
        return 2;
    }
    printf("ready\n");
    fflush(stdout);
    run();
}
