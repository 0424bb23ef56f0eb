"""How the page looks: the reader's own fonts, one accent colour, light, dark and printed."""

from __future__ import annotations

from typing import Final

LIGHT: Final = {
    "page": "#ffffff", "panel": "#f5f6f8", "text": "#1b1f24", "muted": "#59636e",
    "line": "#d5dae0", "accent": "#0b6394", "on-accent": "#ffffff",
}  # fmt: skip
"""Colours by what they are for, on paper and on light screens."""
DARK: Final = {
    "page": "#15181c", "panel": "#1d2126", "text": "#e4e7eb", "muted": "#9ba5b0",
    "line": "#343b43", "accent": "#63b3e0", "on-accent": "#0d1216",
}  # fmt: skip
"""The same on dark screens."""

_RULES: Final = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--text);font:16px/1.55 system-ui,-apple-system,
"Segoe UI",Roboto,"Helvetica Neue","Noto Sans","DejaVu Sans",sans-serif;overflow-wrap:break-word}
main{max-width:62rem;margin:0 auto;padding:2.5rem 1.5rem 4rem}
h1{font-size:1.7rem;line-height:1.25;font-weight:650;margin:0 0 .3rem}
h2{font-size:1.15rem;line-height:1.3;font-weight:650;margin:3rem 0 .8rem;padding-top:.9rem;
border-top:1px solid var(--line);break-after:avoid}
h3{font-size:1rem;font-weight:600;margin:1.6rem 0 .5rem;break-after:avoid}
p{margin:.5rem 0;max-width:46rem}
.lead,.small,caption,figcaption,th,dt{color:var(--muted)}
.small{font-size:.875rem}
.name{overflow-wrap:anywhere;unicode-bidi:isolate}
.short{background:var(--panel);border-left:3px solid var(--accent);border-radius:0 .4rem .4rem 0;
padding:.9rem 1.2rem;margin:1.5rem 0}
.short ul{margin:0;padding-left:1.1rem}
.short li{margin:.3rem 0;max-width:46rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.93rem;font-variant-numeric:tabular-nums;margin:.6rem 0}
th{font-weight:500;font-size:.82rem;text-align:left;vertical-align:bottom}
th,td{padding:.42rem 1.5rem .42rem 0;border-bottom:1px solid var(--line);vertical-align:top}
th:last-child,td:last-child{padding-right:0}
tr{break-inside:avoid}
thead{display:table-header-group}
.n{text-align:right;white-space:nowrap}
td:has(.name){min-width:7.5rem}
.range{color:var(--muted);white-space:nowrap}
.big td:nth-child(2){font-size:1.15rem;font-weight:600}
dl{display:grid;grid-template-columns:minmax(7rem,max-content) 1fr;gap:.35rem 1.5rem;
font-size:.93rem;margin:.6rem 0}
dd{margin:0;min-width:0;overflow-wrap:anywhere}
code{font:.86em ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;
overflow-wrap:anywhere}
summary{cursor:pointer;color:var(--accent)}
.charts{display:flex;flex-wrap:wrap;gap:1rem 3rem;align-items:flex-start}
.charts>figure{max-width:100%}
.charts>div{flex:1 1 24rem;min-width:0}
figure{margin:.8rem 0;break-inside:avoid}
figcaption{font-size:.875rem;margin:.3rem 0;max-width:26rem}
svg{display:block;max-width:100%;height:auto;font:11px system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue","DejaVu Sans",sans-serif;print-color-adjust:exact;-webkit-print-color-adjust:exact}
svg text{fill:var(--muted)}
svg text.strong{fill:var(--text)}
svg text.inverse{fill:var(--on-accent)}
.grid{stroke:var(--line);stroke-width:1;fill:none}
.mark{stroke:var(--accent);stroke-width:2;fill:none;stroke-linejoin:round;stroke-linecap:round}
.other{stroke:var(--muted);stroke-width:1.5;fill:none;stroke-dasharray:4 3}
.fill{fill:var(--accent)}
.dot{fill:var(--accent)}
.dull{fill:var(--muted)}
.bar{display:inline-block;vertical-align:middle;width:120px;max-width:none}
.point{fill:var(--page);stroke:var(--text);stroke-width:1.5}
.cell{fill:var(--panel)}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(8.5rem,1fr));gap:1.2rem 1rem;
padding:0;margin:1rem 0;list-style:none}
.gallery li{font-size:.82rem;line-height:1.4;break-inside:avoid;min-width:0}
.gallery img,.gallery .none{width:100%;height:8rem;object-fit:contain;background:var(--panel);
border-radius:.3rem;display:block;margin-bottom:.4rem}
.gallery .none{display:flex;align-items:center;justify-content:center;color:var(--muted)}
.gallery img.tiny{image-rendering:pixelated}
.gallery .file{color:var(--muted);font-size:.76rem;overflow-wrap:anywhere;display:-webkit-box;
-webkit-line-clamp:2;-webkit-box-orient:vertical;overflow:hidden}
@media (max-width:34rem){main{padding:1.5rem 1rem 3rem}dl{grid-template-columns:1fr;gap:0}
dd{margin-bottom:.5rem}th,td{padding-right:.9rem}}
@page{margin:16mm}
@media print{body{font-size:10.5pt}main{max-width:none;padding:0}h2{margin-top:1.6rem}
.wide{overflow:visible}.charts{display:block}.first{display:none}p{break-after:avoid}details::details-content{content-visibility:visible;height:auto}
summary{display:none}.gallery{grid-template-columns:repeat(6,1fr)}.gallery img{height:6rem}}
"""


def stylesheet() -> str:
    """The style sheet; on paper it is always the light one."""
    light, dark = (
        "".join(f"--{name}:{colour};" for name, colour in colours.items())
        for colours in (LIGHT, DARK)
    )
    return (
        f":root{{color-scheme:light dark;{light}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"
        f"@media print{{:root{{color-scheme:light}}}}{_RULES}"
    )
