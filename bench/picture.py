"""The picture of a table: a bar a load on a logarithmic scale, from the peer's time at 1 to ours; marks where the others are."""
import math

WIDTH, LEFT, RIGHT, TOP, ROW = 860, 150, 70, 62, 20
STYLE = """text { font: 13px "DejaVu Sans", Verdana, sans-serif; fill: #24292f }
.paper { fill: #ffffff } .grid { stroke: #d0d7de } .one { stroke: #57606a; stroke-width: 1.5 }
.slow { fill: #bc4c00 } .fast { fill: #1a7f37 } .mark0 { fill: #0969da } .mark1 { fill: #8250df }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .paper { fill: #0d1117 } .grid { stroke: #30363d } .one { stroke: #8b949e }
.slow { fill: #f0883e } .fast { fill: #3fb950 } .mark0 { fill: #58a6ff } .mark1 { fill: #bc8cff } }"""


def escape(s):
    return s.replace('&', '&amp;').replace('<', '&lt;')


class Scale:
    """Ratios to places, from the power of ten below the least to the one above the greatest."""

    def __init__(self, values):
        logs = [math.log10(v) for v in values] + [0]
        self.low, self.high = math.floor(min(logs)), max(math.ceil(max(logs)), math.floor(min(logs)) + 1)

    def place(self, value):
        return LEFT + (math.log10(value) - self.low) / (self.high - self.low) * (WIDTH - LEFT - RIGHT)

    def lines(self):
        for power in range(self.low, self.high + 1):
            for k in (1, 2, 5):
                if power < self.high or k == 1:
                    yield k * 10.0 ** power


def bar(scale, y, name, ratio):
    one, x = scale.place(1), scale.place(ratio)
    kind = 'slow' if ratio > 1 else 'fast'
    return [f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>',
            f'<rect class="{kind}" x="{min(one, x):.1f}" y="{y + 4}" width="{max(abs(x - one), 1):.1f}" height="{ROW - 8}"/>',
            f'<text x="{WIDTH - RIGHT + 12}" y="{y + 14}">{ratio:.2f}</text>']


def marker(scale, y, index, ratio):
    x, middle = scale.place(ratio), y + ROW / 2
    if index:
        return f'<circle class="mark{index}" cx="{x:.1f}" cy="{middle:.1f}" r="4"/>'
    return f'<path class="mark{index}" d="M{x:.1f} {middle - 5:.1f}l5 5-5 5-5-5z"/>'


def draw(title, own, peer, bars, marks):
    """bars: [(name, ratio)] of own / peer; marks: up to two of (name, {bar's name: ratio to the peer})."""
    scale = Scale([r for _, r in bars] + [r for _, of in marks for r in of.values()])
    height = TOP + ROW * len(bars) + 28
    svg = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">',
           f'<style>{STYLE}</style>', f'<rect class="paper" width="{WIDTH}" height="{height}"/>',
           f'<text x="{LEFT}" y="20" font-weight="bold">{escape(title)}</text>',
           f'<rect class="fast" x="{LEFT}" y="32" width="14" height="12"/><rect class="slow" x="{LEFT + 14}" y="32" width="14" height="12"/>',
           f'<text x="{LEFT + 34}" y="43">{escape(own)}</text>']
    for index, (name, _) in enumerate(marks):
        x = LEFT + 170 * (index + 1)
        svg += [f'<svg x="{x - 8}" y="28" width="20" height="20" viewBox="-10 0 20 20">{legend_mark(index)}</svg>',
                f'<text x="{x + 16}" y="43">{escape(name)}</text>']
    bottom = TOP + ROW * len(bars)
    for value in scale.lines():
        x = scale.place(value)
        svg += [f'<line class="{"one" if value == 1 else "grid"}" x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{bottom + 4}"/>',
                f'<text x="{x:.1f}" y="{bottom + 20}" text-anchor="middle" font-size="11">{value:g}</text>']
    for k, (name, ratio) in enumerate(bars):
        y = TOP + ROW * k
        svg += bar(scale, y, name, ratio)
        svg += [marker(scale, y, index, of[name]) for index, (_, of) in enumerate(marks) if name in of]
    return '\n'.join(svg + ['</svg>']) + '\n'


def legend_mark(index):
    return '<circle class="mark1" cx="0" cy="10" r="4"/>' if index else '<path class="mark0" d="M0 5l5 5-5 5-5-5z"/>'
