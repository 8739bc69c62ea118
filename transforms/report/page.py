"""The report as one self-contained HTML page: no script, no font, no address outside itself."""

from jinja2 import Environment

STYLE = """
:root { color-scheme: light; --ink: #1c2430; --muted: #5b6675; --line: #dfe4ea; --bad: #c0392b; }
* { box-sizing: border-box; }
body { margin: 0; background: #f4f6f8; color: var(--ink);
  font: 15px/1.5 "DejaVu Sans", system-ui, -apple-system, "Segoe UI", Arial, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 24px 20px 60px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 4px; }
h2 { font-size: 18px; margin: 0 0 4px; }
p { margin: 4px 0 10px; }
.lead, .note, footer { color: var(--muted); font-size: 13px; }
section { background: #fff; border: 1px solid var(--line); border-radius: 8px;
  padding: 18px 20px; margin-top: 16px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 12px;
  margin-top: 16px; }
.card { background: #fff; border: 1px solid var(--line); border-radius: 8px; padding: 14px 16px; }
.card b { display: block; font-size: 22px; line-height: 1.25; margin: 2px 0; overflow-wrap: anywhere; }
.card span { display: block; color: var(--muted); font-size: 13px; }
.card .name { color: var(--ink); font-size: 13px; font-weight: 600; }
.warning { border-left: 4px solid var(--bad); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th, td { text-align: left; padding: 6px 10px 6px 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { color: var(--muted); font-weight: 600; white-space: nowrap; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.whole { white-space: nowrap; }
td.raw { font-family: "DejaVu Sans Mono", ui-monospace, monospace; font-size: 12px;
  white-space: nowrap; }
figure { margin: 8px 0 0; }
figure svg { max-width: 100%; height: auto; display: block; }
.narrow { display: none; }
@media (max-width: 760px) {
  main { padding: 16px 12px 40px; } section { padding: 14px 12px; }
  .wide { display: none; } .narrow { display: block; } .card b { font-size: 21px; }
  .cards { grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); }
}
@media print { body { background: #fff; } section, .card { break-inside: avoid; } }
"""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>{{ style | safe }}</style>
</head>
<body><main>
<h1>{{ title }}</h1>
<p class="lead">{{ lead }}</p>
<div class="cards">
{% for card in cards %}<div class="card{{ ' warning' if card.warns }}"><span class="name">{{ card.name }}</span>
<b>{{ card.value }}</b>{% for line in card.lines %}<span>{{ line }}</span>{% endfor %}</div>
{% endfor %}</div>
{% for part in parts %}<section id="{{ part.id }}">
<h2>{{ part.title }}</h2>
{% if part.text %}<p class="note">{{ part.text }}</p>{% endif %}
{% if part.picture %}<figure role="img" aria-label="{{ part.picture.alt_text }}">
<div class="wide">{{ part.picture.wide | safe }}</div>
<div class="narrow">{{ part.picture.narrow | safe }}</div></figure>{% endif %}
{% if part.rows %}<div class="scroll"><table>
<thead><tr>{% for column in part.columns %}<th{% if column.is_number %} class="n"{% endif %}>{{ column.name }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in part.rows %}<tr>{% for cell in row %}<td{% if part.columns[loop.index0].css %} class="{{ part.columns[loop.index0].css }}"{% endif %}>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
{% elif part.empty %}<p>{{ part.empty }}</p>{% endif %}
</section>
{% endfor %}
<footer><p>{{ footer }}</p></footer>
</main></body></html>
"""


def page(**fields: object) -> str:
    """Fill the page; everything but the SVG is escaped."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(PAGE).render(style=STYLE, **fields)
