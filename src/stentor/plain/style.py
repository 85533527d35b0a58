"""The look of pages without JavaScript, in the page itself: that of the built pages (web/src/style), and its hash.

Colours and sizes are the tokens of web/src/style/tokens.css; a test compares both.
"""

import base64
import hashlib

TOKENS = """
color-scheme:light dark;--paper:#f6f5f1;--surface:#ffffff;--sunken:#efede7;--ink:#17191e;--soft:#565d69;--line:#dedbd2;
--accent:#0d6a5e;--accent-ink:#ffffff;--accent-wash:#e0f0ec;--air:#c81e2a;--air-ink:#ffffff;--air-wash:#fbe6e6;
--warn:#8a5200;--warn-wash:#fbf0dc;--calm:#3d4c8c;--calm-wash:#e8ebf8;--radius:1.125rem;--radius-small:0.75rem;
--touch:3rem;
""".replace("\n", "")
DARK_TOKENS = """
--paper:#101215;--surface:#191c21;--sunken:#22262c;--ink:#eef0f3;--soft:#a3abb8;--line:#2e333b;--accent:#52cdb8;
--accent-ink:#06231f;--accent-wash:#16302c;--air:#ff5c63;--air-ink:#250205;--air-wash:#3a171b;--warn:#f3b55b;
--warn-wash:#352812;--calm:#a9b6f5;--calm-wash:#20263f;
""".replace("\n", "")

_RULES = """
*,*::before,*::after{box-sizing:border-box}
html{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Noto Sans Arabic","DejaVu Sans",sans-serif;
line-height:1.55;color:var(--ink);background:var(--paper);-webkit-text-size-adjust:100%;accent-color:var(--accent)}
body{margin:0;min-block-size:100vh}
h1,h2,p,ul,ol,dl,dd{margin:0}
ul,ol{padding:0;list-style:none}
h1{font-size:clamp(1.6rem,1.3rem + 1.6vw,2.3rem);line-height:1.2;letter-spacing:-.02em;overflow-wrap:anywhere}
h2{margin-block-end:.75rem;color:var(--soft);font-size:1rem}
:lang(ar){letter-spacing:0;line-height:1.75}
h1:lang(ar){letter-spacing:0;line-height:1.45}
a{color:var(--accent);text-underline-offset:.2em}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
.page{max-inline-size:44rem;margin-inline:auto;padding:0 clamp(1rem,4vw,2rem) 3rem}
.top{display:flex;align-items:center;justify-content:space-between;gap:1rem;min-block-size:4.25rem}
.brand{display:inline-flex;align-items:center;gap:.6rem;min-block-size:var(--touch);color:inherit;font-size:1.05rem;
font-weight:700;text-decoration:none}
.brand-mark{display:inline-flex;align-items:center;gap:2px;block-size:1.4rem}
.brand-mark i{inline-size:3px;block-size:35%;border-radius:2px;background:var(--accent)}
.brand-mark i:nth-child(even){block-size:65%}
.brand-mark i:nth-child(3){block-size:100%}
.language{display:inline-flex;padding:3px;border-radius:999px;background:var(--sunken)}
.language a,.language b{display:inline-flex;align-items:center;justify-content:center;min-block-size:2.5rem;
min-inline-size:3.5rem;padding:0 .85rem;border-radius:999px;color:var(--soft);font-size:.9rem;font-weight:400;
text-decoration:none}
.language b{background:var(--surface);color:var(--ink)}
.skip{position:absolute;inset-block-start:-6rem;padding:.75rem 1rem;background:var(--surface)}
.skip:focus{inset-block-start:.5rem}
main{display:grid;grid-template-columns:minmax(0,1fr);gap:1.1rem}
.card{padding:clamp(1.1rem,3.5vw,1.75rem);border:1px solid var(--line);border-radius:var(--radius);
background:var(--surface)}
.card>*+*{margin-block-start:.6rem}
.card>h2{margin:0 0 .75rem}
.head h1{margin-block-start:.8rem}
.head p{margin-block-start:.7rem;color:var(--soft)}
.level-well{border-inline-start:.5rem solid var(--accent)}
.level-quiet{border-inline-start:.5rem solid var(--line)}
.level-busy{border-inline-start:.5rem solid var(--warn)}
.level-broken{border-inline-start:.5rem solid var(--air)}
.notice,.announcement{padding:1rem 1.2rem;border-radius:var(--radius);overflow-wrap:anywhere}
.notice{background:var(--warn-wash);color:var(--warn)}
.announcement{background:var(--calm-wash);color:var(--calm);font-weight:550}
.hint,.facts{color:var(--soft);font-size:.95rem}
.facts{display:flex;flex-wrap:wrap;gap:.3rem 1rem;align-items:center}
.lines>li+li{margin-block-start:.9rem;padding-block-start:.9rem;border-block-start:1px solid var(--line)}
.lines time{color:var(--soft);font-size:.9rem}
.lines p{overflow-wrap:anywhere}
.big dt{color:var(--soft);font-size:.95rem}
.big dd{font-size:1.3rem;font-weight:650;font-variant-numeric:tabular-nums}
.big div+div{margin-block-start:.9rem}
.big .first dd{font-size:clamp(2.6rem,12vw,4rem);font-weight:800;line-height:1.1}
.pill{display:inline-flex;align-items:center;gap:.45rem;padding:.2rem .75rem;border-radius:999px;
background:var(--sunken);color:var(--soft);font-size:.85rem;font-weight:650;line-height:1.6}
.pill::before{content:"";inline-size:.5rem;block-size:.5rem;border-radius:50%;background:currentcolor}
.pill-live{background:var(--air);color:var(--air-ink)}
.pill-lobby,.pill-published{background:var(--accent-wash);color:var(--accent)}
.pill-held{background:var(--warn-wash);color:var(--warn)}
.pill-scheduled{background:var(--calm-wash);color:var(--calm)}
.row{display:flex;flex-wrap:wrap;align-items:center;gap:.75rem}
.button{display:inline-flex;align-items:center;justify-content:center;min-block-size:var(--touch);padding:.5rem 1.15rem;
border:1px solid var(--line);border-radius:999px;background:var(--surface);color:var(--ink);font-weight:600;
text-decoration:none}
.button-primary{border-color:transparent;background:var(--accent);color:var(--accent-ink)}
audio{display:block;inline-size:100%;min-block-size:var(--touch)}
code{overflow-wrap:anywhere;font-family:ui-monospace,Menlo,"DejaVu Sans Mono",monospace;font-size:.9rem}
footer{display:flex;flex-wrap:wrap;gap:.4rem 1.4rem;margin-block-start:2rem;color:var(--soft);font-size:.95rem}
footer a{display:inline-flex;align-items:center;min-block-size:var(--touch);color:inherit}
""".replace("\n", "")

STYLE = f":root{{{TOKENS}}}@media (prefers-color-scheme:dark){{:root{{{DARK_TOKENS}}}}}{_RULES}"
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; img-src data:; media-src 'self'; base-uri 'none'; "
    "form-action 'none'"
)
"""Content-Security-Policy of these pages: no script at all."""
