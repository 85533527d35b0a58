/* A crowd of listeners from one process: what its files share. See crowd.c for how it is used. */
#ifndef CROWD_H
#define CROWD_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is asked for, and how what comes back is read. */
enum kind {
    PUSH,       /* our WebSocket frames: 16-byte header with the step, then fMP4 */
    WEBSOCKET,  /* anybody's WebSocket: bytes are counted, pings answered */
    HTTP,       /* one GET whose body has no end */
    OGG,        /* the same, as Ogg Opus whose granules count from the room's zero */
    FETCH,      /* one GET with a Content-Length, then the connection is closed */
    ASK,        /* keep-alive; each `ask PATH` on stdin sends one GET on every connection */
    NEVER_READ, /* shakes hands for a push and never reads */
    SIP,        /* shakes hands for a push and reads 64 bytes a second */
    TRICKLE,    /* one byte of a request each second */
    SILENT      /* connects and says nothing */
};

enum stage { CLOSED, CONNECTING, SHAKING_TLS, IDLE, IN_HEAD, IN_BODY };

#define HELD_BYTES 4096

struct connection {
    int fd;
    uint8_t stage;
    uint8_t http; /* where the blank line of the head has got to: 0 to 4 bytes of CR LF CR LF */
    uint8_t frame_head_bytes, ogg_laces;
    bool in_payload, handshaken, heard;
    uint8_t frame_head[14]; /* WebSocket frame header as far as it has come */
    uint8_t push_head[16];  /* the header in front of our media (docs/design.md, "Push") */
    uint16_t held_bytes, ogg_at;
    int64_t begun_ns, tried_ns, next_ns;
    uint64_t left, seen; /* of a frame's payload, an Ogg page's body or a response's body */
    uint64_t granule;
    uint64_t window_bytes;
    char *held; /* a response's head, or the payload of a control frame; only while it is needed */
    SSL *tls;
};

struct counts {
    int opened, connected, handshaken, heard, open, dropped, refused, bad_status, answered, bad_frames;
    int reset, ended, retried;
    int close_codes[5000];
};

/* crowd.c */
extern enum kind kind;
extern struct counts counts;
extern int64_t zero_ns, step_ns; /* the room's zero as Unix time, once a hello or --zero-ms has said it */
extern bool measuring;
int64_t now_ns(void);
void say(struct connection *connection, const void *data, size_t size);
void lost(struct connection *connection, int error);
void heard_first(struct connection *connection, int64_t now);
void answer_complete(struct connection *connection, int64_t now);

/* reading.c: takes what a listener received, whatever pieces it comes in. */
void received(struct connection *connection, const uint8_t *data, size_t size, int64_t now);

/* figures.c: numbers that are gathered and said as JSON. */
struct series {
    int64_t *values;
    size_t count, room;
};
void add(struct series *series, int64_t value);
void print_series(const char *name, struct series *series);
/* One block that reached one listener; earliest is the table that all processes of a run share. */
void share_earliest(const char *path);
void note_block(uint64_t step, int64_t now, bool measured);
void print_lags(void);
void forget_lags(void);

#endif
