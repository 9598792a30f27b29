"""How a report looks."""

from __future__ import annotations

from string import Template

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
:root {
  --page: #fbfbfa; --ink: #1c1e21; --soft: #5f6670; --line: #dfe1e5; --band: #f2f3f5; --accent: #1f5fbf;
}
@media (prefers-color-scheme: dark) {
  :root { --page: #15171a; --ink: #e6e8eb; --soft: #9aa2ad; --line: #30353c; --band: #1d2025; --accent: #7fb0ff; }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 60rem; margin: 0 auto; padding: 3rem 1.25rem 4rem; }
h1 { font-size: clamp(1.7rem, 4vw, 2.4rem); line-height: 1.2; letter-spacing: -0.02em; margin: 0 0 0.4rem; }
h2 {
  font-size: 1.35rem; letter-spacing: -0.01em; margin: 3rem 0 0.9rem; padding-top: 0.8rem;
  border-top: 1px solid var(--line);
}
p, ul { max-width: 44rem; margin: 0.8rem 0; }
.subtitle { color: var(--soft); font-size: 1.08rem; margin-top: 0; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
nav {
  background: var(--band); border: 1px solid var(--line); border-radius: 10px;
  padding: 0.7rem 1rem; margin: 1.6rem 0;
}
nav ol { margin: 0; padding-left: 1.3rem; columns: 16rem auto; }
code { font: 0.9em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre {
  background: var(--band); border: 1px solid var(--line); border-radius: 10px; padding: 0.8rem 1rem; overflow-x: auto;
}
.scroll { overflow-x: auto; margin: 1.2rem 0; }
table { border-collapse: collapse; font-size: 0.94rem; font-variant-numeric: tabular-nums; }
/* As wide as reads well, whatever the table below it is, and never wider than the page. */
caption {
  text-align: left; color: var(--soft); padding: 0 0 0.5rem; font-size: 0.92rem;
  width: max-content; max-width: min(44rem, 100vw - 2.5rem);
}
th, td {
  padding: 0.42rem 1.1rem 0.42rem 0; text-align: left;
  border-bottom: 1px solid var(--line); vertical-align: top;
}
th:last-child, td:last-child { padding-right: 0.2rem; }
th { font-weight: 600; border-bottom-width: 2px; vertical-align: bottom; }
th.number, td.number { text-align: right; }
td.number, th.word { white-space: nowrap; }
tbody tr:hover { background: var(--band); }
figure { margin: 1.6rem 0; overflow-x: auto; }
img { display: block; max-width: 100%; height: auto; border-radius: 8px; }
/* On a narrow page a figure keeps its words readable, and scrolls. */
img.paper { background: #fff; padding: 0.5rem; border: 1px solid var(--line); max-width: max(100%, 36rem); }
figcaption { color: var(--soft); font-size: 0.92rem; margin-top: 0.5rem; max-width: 44rem; }
footer {
  margin-top: 4rem; color: var(--soft); font-size: 0.85rem;
  border-top: 1px solid var(--line); padding-top: 0.8rem;
}
@media print {
  main { max-width: none; padding: 0; }
  h2 { break-after: avoid; }
  figure, tr { break-inside: avoid; }
  nav { display: none; }
}
</style>
</head>
<body>
<main>
<header>
<h1>$title</h1>
$subtitle
</header>
$contents
$body
<footer>Written $date</footer>
</main>
</body>
</html>
""")
