/* What comes back to a listener: an HTTP response's head, then WebSocket frames (RFC 6455), Ogg pages (RFC 3533) or a
 * body. Data comes in any pieces; nothing is kept but what a later piece needs. */
#define _GNU_SOURCE
#include "crowd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9 };
#define MEDIA 2          /* the second byte of our frames' header */
#define STEP_SAMPLES 11520

static void hold(struct connection *c, const uint8_t *data, size_t size) {
    if (!c->held) c->held = malloc(HELD_BYTES + 1);
    if (!c->held) abort();
    if (size > (size_t)(HELD_BYTES - c->held_bytes)) size = (size_t)(HELD_BYTES - c->held_bytes);
    memcpy(c->held + c->held_bytes, data, size);
    c->held_bytes += (uint16_t)size;
    c->held[c->held_bytes] = 0;
}

static void let_go(struct connection *c) {
    free(c->held);
    c->held = NULL;
    c->held_bytes = 0;
}

static void block_came(struct connection *c, uint64_t step, int64_t now) {
    note_block(step, now, measuring);
    heard_first(c, now);
}

/* --- WebSocket --- */

static void learn_zero(const char *hello) {
    const char *found = strstr(hello, "\"zero_ms\":");
    if (found) zero_ns = strtoll(found + 10, NULL, 10) * 1000000;
}

static void pong(struct connection *c) {
    uint8_t frame[6 + 125] = {0x80 | 10, (uint8_t)(0x80 | c->held_bytes)};
    if (c->held_bytes > 125) return;
    if (c->held_bytes) memcpy(frame + 6, c->held, c->held_bytes); /* the mask is zero: it changes nothing */
    say(c, frame, 6u + c->held_bytes);
}

static void frame_came(struct connection *c, int64_t now) {
    int opcode = c->frame_head[0] & 15;
    if (opcode == BINARY && kind == PUSH && c->seen >= 16 && c->push_head[1] == MEDIA) {
        uint64_t step = 0;
        for (int i = 8; i < 16; i++) step = step << 8 | c->push_head[i];
        block_came(c, step, now);
    } else if ((opcode == BINARY || opcode == TEXT) && kind == WEBSOCKET) {
        heard_first(c, now);
    } else if (opcode == TEXT && !zero_ns && c->held) {
        learn_zero(c->held);
    } else if (opcode == PING) {
        pong(c);
    } else if (opcode == CLOSE && c->held_bytes >= 2) {
        int code = (uint8_t)c->held[0] << 8 | (uint8_t)c->held[1];
        if (code < 5000) counts.close_codes[code]++;
    }
    if (c->held) let_go(c);
    c->frame_head_bytes = 0;
    c->in_payload = false;
}

/* Takes one byte of a frame's header; true once the header is whole. */
static bool frame_head(struct connection *c, uint8_t byte) {
    c->frame_head[c->frame_head_bytes++] = byte;
    if (c->frame_head_bytes < 2) return false;
    int length = c->frame_head[1] & 127, extended = length == 126 ? 2 : length == 127 ? 8 : 0;
    if (c->frame_head_bytes < 2 + extended) return false;
    c->left = extended ? 0 : (uint64_t)length;
    for (int i = 0; i < extended; i++) c->left = c->left << 8 | c->frame_head[2 + i];
    c->seen = 0;
    if (c->frame_head[1] & 128) counts.bad_frames++; /* a server does not mask */
    return true;
}

static void frames(struct connection *c, const uint8_t *data, size_t size, int64_t now) {
    while (size) {
        if (!c->in_payload) {
            c->in_payload = frame_head(c, *data++);
            size--;
            if (c->in_payload && !c->left) frame_came(c, now);
            continue;
        }
        size_t take = size < c->left ? size : (size_t)c->left;
        int opcode = c->frame_head[0] & 15;
        if (opcode >= CLOSE || (opcode == TEXT && !zero_ns)) hold(c, data, take);
        if (c->seen < 16) {
            size_t head = take < 16 - c->seen ? take : 16 - (size_t)c->seen;
            memcpy(c->push_head + c->seen, data, head);
        }
        c->seen += take;
        c->left -= take;
        data += take;
        size -= take;
        if (!c->left) frame_came(c, now);
    }
}

/* --- Ogg: 27 bytes, of which 6 to 13 are the granule and 26 the number of lacing bytes; these; the body. --- */

static void page_came(struct connection *c, int64_t now) {
    c->ogg_at = 0;
    if (c->granule && c->granule % STEP_SAMPLES == 0) block_came(c, c->granule / STEP_SAMPLES - 1, now);
}

static void pages(struct connection *c, const uint8_t *data, size_t size, int64_t now) {
    while (size) {
        if (c->ogg_at >= 27u + c->ogg_laces && c->ogg_at >= 27) {
            size_t take = size < c->left ? size : (size_t)c->left;
            c->left -= take;
            data += take;
            size -= take;
            if (!c->left) page_came(c, now);
            continue;
        }
        uint8_t byte = *data++;
        size--;
        if (c->ogg_at < 4 && byte != (uint8_t)"OggS"[c->ogg_at]) { /* joined within a page: look on */
            c->ogg_at = byte == 'O';
            continue;
        }
        if (c->ogg_at == 6) c->granule = 0;
        if (c->ogg_at >= 6 && c->ogg_at < 14) c->granule |= (uint64_t)byte << 8 * (c->ogg_at - 6);
        if (c->ogg_at == 26) c->ogg_laces = byte, c->left = 0;
        if (c->ogg_at >= 27) c->left += byte;
        c->ogg_at++;
        if (c->ogg_at >= 27 && c->ogg_at == 27u + c->ogg_laces && !c->left) page_came(c, now);
    }
}

/* --- HTTP --- */

static void body(struct connection *c, const uint8_t *data, size_t size, int64_t now) {
    if (!size) return;
    if (kind == PUSH || kind == WEBSOCKET || kind == SIP) {
        frames(c, data, size, now);
    } else if (kind == OGG) {
        pages(c, data, size, now);
    } else {
        heard_first(c, now);
        if (kind != FETCH && kind != ASK) return;
        c->left -= size < c->left ? size : c->left;
        if (!c->left) answer_complete(c, now);
    }
}

static void head_came(struct connection *c, int64_t now) {
    int status = c->held_bytes > 12 ? atoi(c->held + 9) : 0;
    const char *length = strcasestr(c->held, "\r\ncontent-length:");
    c->left = length ? strtoull(length + 17, NULL, 10) : 0;
    let_go(c);
    if (status == 101 || status == 200) {
        if (!c->handshaken) counts.handshaken++;
        c->handshaken = true;
    } else {
        counts.bad_status++;
        if (kind != ASK) {
            lost(c, 0);
            return;
        }
    }
    c->stage = IN_BODY;
    c->ogg_at = 0;
    if ((kind == ASK || kind == FETCH) && !c->left) answer_complete(c, now);
}

void received(struct connection *c, const uint8_t *data, size_t size, int64_t now) {
    c->window_bytes += size;
    size_t at = 0;
    while (c->stage == IN_HEAD && at < size) {
        uint8_t byte = data[at++];
        c->http = byte == (c->http % 2 ? '\n' : '\r') ? c->http + 1 : byte == '\r';
        if (c->http == 4) {
            hold(c, data, at);
            head_came(c, now);
        }
    }
    if (c->stage == IN_HEAD) hold(c, data, size);
    else if (c->stage == IN_BODY) body(c, data + at, size - at, now);
}
