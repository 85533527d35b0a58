/* A flood of requests: so many a second, really written to sockets, whatever is answered. See bench/flood.py.
 *
 * flood --port P --rate R --sources N --seconds S --path /a --path /b …
 *
 * Sources are 127.1.0.1 … 127.1.0.N, with two connections each, kept alive until the server ends them and then opened
 * anew. A path that begins with "+" is a POST of {}. Once a second, and at the end, a line of JSON says what was done.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EACH = 2, MOST_SOURCES = 250, MOST_PATHS = 16, READ_BYTES = 65536, EVENTS = 256 };

struct connection {
  int fd;
  int source;
  int waiting; /* requests sent since the last answer */
};

static struct connection all[MOST_SOURCES * EACH];
static char requests[MOST_PATHS][512];
static int path_count, port, sources = 200, epoll_fd;
static long sent, connects, ended, unsent, answers[6];

static double now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void end(struct connection *c) {
  if (c->fd >= 0) close(c->fd);
  c->fd = -1;
  ended++;
}

static int begin(struct connection *c) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
  struct linger gone = {1, 0};
  struct sockaddr_in own = {.sin_family = AF_INET}, peer = {.sin_family = AF_INET, .sin_port = htons(port)};
  char text[32];
  if (fd < 0) return -1;
  snprintf(text, sizeof text, "127.1.0.%d", c->source + 1);
  inet_pton(AF_INET, text, &own.sin_addr);
  inet_pton(AF_INET, "127.0.0.1", &peer.sin_addr);
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &gone, sizeof gone);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (bind(fd, (struct sockaddr *)&own, sizeof own) ||
      (connect(fd, (struct sockaddr *)&peer, sizeof peer) && errno != EINPROGRESS)) {
    close(fd);
    return -1;
  }
  c->fd = fd;
  c->waiting = 0;
  connects++;
  struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = c};
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
  return 0;
}

static void ask(struct connection *c, int path) {
  size_t size = strlen(requests[path]);
  if (c->fd < 0 && begin(c)) {
    unsent++;
    return;
  }
  ssize_t done = send(c->fd, requests[path], size, MSG_NOSIGNAL);
  if (done == (ssize_t)size) {
    sent++;
    c->waiting++;
  } else {
    unsent++;
    if (done >= 0 || (errno != EAGAIN && errno != ENOTCONN)) end(c);
  }
}

static void take(struct connection *c) {
  static char data[READ_BYTES];
  ssize_t size = recv(c->fd, data, sizeof data - 1, 0);
  if (size <= 0) {
    if (size == 0 || errno != EAGAIN) end(c);
    return;
  }
  char *at = data, *stop = data + size;
  while ((at = memmem(at, stop - at, "HTTP/1.1 ", 9)) && stop - at > 9) {
    int kind = at[9] - '0';
    if (kind >= 1 && kind <= 5) answers[at[9] == '4' && at[10] == '2' && at[11] == '9' ? 0 : kind]++;
    c->waiting = 0;
    at += 9;
  }
}

static void say(double seconds, int last) {
  printf("{\"event\": \"%s\", \"seconds\": %.3f, \"sent\": %ld, \"unsent\": %ld, \"connects\": %ld, \"ended\": %ld, "
         "\"ok\": %ld, \"too_many\": %ld, \"other\": %ld}\n",
         last ? "done" : "so-far", seconds, sent, unsent, connects, ended, answers[2], answers[0],
         answers[1] + answers[3] + answers[4] + answers[5]);
  fflush(stdout);
}

int main(int argc, char **argv) {
  double rate = 10000, seconds = 10;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (!strcmp(argv[i], "--port")) port = atoi(argv[i + 1]);
    else if (!strcmp(argv[i], "--rate")) rate = atof(argv[i + 1]);
    else if (!strcmp(argv[i], "--sources")) sources = atoi(argv[i + 1]);
    else if (!strcmp(argv[i], "--seconds")) seconds = atof(argv[i + 1]);
    else if (!strcmp(argv[i], "--path") && path_count < MOST_PATHS) {
      int post = argv[i + 1][0] == '+';
      snprintf(requests[path_count++], sizeof requests[0],
               "%s %s HTTP/1.1\r\nHost: bench\r\nUser-Agent: flood\r\n%s\r\n%s", post ? "POST" : "GET", argv[i + 1] + post,
               post ? "Content-Type: application/json\r\nContent-Length: 2\r\n" : "", post ? "{}" : "");
    } else return 2;
  }
  if (!port || !path_count || sources < 1 || sources > MOST_SOURCES) return 2;
  epoll_fd = epoll_create1(0);
  for (int i = 0; i < sources * EACH; i++) all[i] = (struct connection){-1, i % sources, 0};
  double begun = now_s(), said = begun, due = 0;
  long number = 0;
  struct epoll_event events[EVENTS];
  for (double now = begun; now - begun < seconds; now = now_s()) {
    for (due = rate * (now - begun); number < due; number++) ask(&all[number % (sources * EACH)], number % path_count);
    int count = epoll_wait(epoll_fd, events, EVENTS, 1);
    for (int i = 0; i < count; i++) {
      struct connection *c = events[i].data.ptr;
      if (c->fd >= 0) take(c);
    }
    if (now - said >= 1) {
      say(now - begun, 0);
      said = now;
    }
  }
  say(now_s() - begun, 1);
  return 0;
}
