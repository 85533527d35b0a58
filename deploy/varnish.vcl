# Varnish (6.0 or newer) as a cache in front of Stentor: one request upstream for each playlist and part, however many
# players ask. Start it with: varnishd -a :6081 -f /etc/varnish/stentor.vcl -s malloc,256m
# TLS is for what stands before it (Hitch, HAProxy, nginx). Which answer may be kept for how long is Stentor's word
# (docs/design.md, "What a cache may keep").
vcl 4.1;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
    # A blocking reload is held for up to 7 s.
    .first_byte_timeout = 20s;
    .between_bytes_timeout = 20s;
}

sub vcl_recv {
    # Push is a WebSocket, a progressive stream has no end: neither is for a cache.
    if (req.http.Upgrade ~ "(?i)websocket" || req.url ~ "^/r/[^/?]+/(push|listen\.)") {
        return (pipe);
    }
    if (req.method != "GET" && req.method != "HEAD") {
        return (pass);
    }
    # Stentor sets no cookies; one from elsewhere on the host must not keep answers out of the cache.
    unset req.http.Cookie;
    # For rooms with a door (docs/operations.md, "A cache or a CDN"): the secret STENTOR_CACHE_KEY of the edges.
    unset req.http.Stentor-Cache;
    # set req.http.Stentor-Cache = "…";
    # Of a query only the directives of LL-HLS matter, in one order. A ticket, or whatever a player adds, goes.
    set req.http.X-Directives = "";
    if (req.url ~ "[?&]_HLS_msn=") {
        set req.http.X-Directives = "&_HLS_msn=" + regsub(req.url, "^.*[?&]_HLS_msn=([^&]*).*$", "\1");
    }
    if (req.url ~ "[?&]_HLS_part=") {
        set req.http.X-Directives = req.http.X-Directives + "&_HLS_part="
            + regsub(req.url, "^.*[?&]_HLS_part=([^&]*).*$", "\1");
    }
    if (req.url ~ "[?&]_HLS_skip=") {
        set req.http.X-Directives = req.http.X-Directives + "&_HLS_skip="
            + regsub(req.url, "^.*[?&]_HLS_skip=([^&]*).*$", "\1");
    }
    set req.url = regsub(req.url, "\?.*$", "") + regsub(req.http.X-Directives, "^&", "?");
    unset req.http.X-Directives;
    return (hash);
}

sub vcl_pipe {
    if (req.http.Upgrade) {
        set bereq.http.Upgrade = req.http.Upgrade;
        set bereq.http.Connection = req.http.Connection;
    }
}

sub vcl_backend_response {
    # A playlist of a moment ago is worse than none: never serve what is over its time.
    set beresp.grace = 0s;
    # "Not there (yet)" is an answer for a whole crowd, too, for the second that Stentor gives it.
    if (beresp.status >= 400 && beresp.http.Cache-Control ~ "max-age=1$") {
        set beresp.ttl = 1s;
        return (deliver);
    }
}
