# Varnish (6 or newer) as a shared cache in front of the sidecar.
#
# Pages that are the same for everybody are kept once. Those that depend on country or device alone are kept once for each
# variant. Whatever depends on anything else about a visitor is never kept. The sidecar says which is which:
#
#   SIDECAR_TRUST_FORWARDED=true
#   SIDECAR_COUNTRY_HEADER=X-Country
#   SIDECAR_HEADERS=X-Device
#   SIDECAR_CACHE_VARIANTS=X-Country=DE|AT|other, X-Device=mobile|desktop
#   SIDECAR_CACHE_VARIANTS_FIELD=Surrogate-Control

vcl 4.1;

import std;

backend sidecar {
    .host = "127.0.0.1";
    .port = "8080";
}

# Where visitors are: here by network; a vmod of MaxMind's data does the same.
acl country_de {
    "192.0.2.0"/24;
}

acl country_at {
    "198.51.100.0"/24;
}

sub vcl_recv {
    # What is known of a visitor, folded into two fields, over whatever the visitor sent.
    set req.http.X-Country = "other";
    if (client.ip ~ country_de) {
        set req.http.X-Country = "DE";
    } elsif (client.ip ~ country_at) {
        set req.http.X-Country = "AT";
    }
    set req.http.X-Device = "desktop";
    if (req.http.User-Agent ~ "(?i)mobi") {
        set req.http.X-Device = "mobile";
    }

    # An operator's switches ask the sidecar itself; it answers no-store.
    if (req.http.X-Layout-Mutation-Token) {
        return (pass);
    }

    # Varnish keeps nothing for requests with cookies. The sidecar's own may pass: it says itself which pages they made.
    if (req.http.Cookie && (req.method == "GET" || req.method == "HEAD") && !req.http.Authorization) {
        set req.http.X-Other-Cookies = regsuball(req.http.Cookie, "(^|;) *(lm_uid|lm_state)=[^;]*", "");
        if (req.http.X-Other-Cookies ~ "^[; ]*$") {
            unset req.http.X-Other-Cookies;
            return (hash);
        }
        unset req.http.X-Other-Cookies;
    }
}

sub vcl_backend_response {
    # So long a page that is no longer fresh is asked about by its ETag, in place of being sent again.
    set beresp.keep = 1h;

    # A variant: to other caches it is private, to this one it is not. Varnish tells variants apart by Vary.
    if (beresp.http.X-Layout-Mutation-Variant && beresp.http.Surrogate-Control ~ "max-age=[0-9]+") {
        set beresp.ttl = std.duration(regsub(beresp.http.Surrogate-Control, "^.*max-age=([0-9]+).*$", "\1s"), 0s);
        unset beresp.http.Surrogate-Control;
        return (deliver);
    }
}

sub vcl_deliver {
    if (obj.hits > 0) {
        set resp.http.X-Cache = "HIT";
    } else {
        set resp.http.X-Cache = "MISS";
    }
}
