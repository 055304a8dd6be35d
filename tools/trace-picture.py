#!/usr/bin/env python3
"""trace-picture.py RUN.json FROM TO PICTURE.svg: the slices of a trace between two times (microseconds) as Perfetto shows them."""
import json
import sys

WIDTH, LEFT, ROW, GAP = 1180, 210, 26, 8
COLOURS = ['#4285f4', '#db4437', '#f4b400', '#0f9d58', '#ab47bc', '#00acc1', '#ff7043', '#9e9d24', '#5c6bc0', '#f06292']


def slices(events):
    """(track, name, begin, end, what happened) of every pair of B and E, and of every X."""
    open_ = {}
    for e in events:
        track = (e.get('pid'), e.get('tid'))
        if e['ph'] == 'B':
            open_.setdefault(track, []).append(e)
        elif e['ph'] == 'E' and open_.get(track):
            b = open_[track].pop()
            yield track, b['name'], b['ts'], e['ts'], e.get('args', {})
        elif e['ph'] == 'X':
            yield track, e['name'], e['ts'], e['ts'] + e['dur'], e.get('args', {})


def escape(s):
    return s.replace('&', '&amp;').replace('<', '&lt;')


def main():
    path, first, last, out = sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    events = json.load(open(path))
    events = events['traceEvents'] if isinstance(events, dict) else events
    names = {(e['pid'], e['tid']): e['args']['name'] for e in events if e['ph'] == 'M' and e['name'] == 'thread_name'}
    shown = [s for s in slices(events) if s[3] > first and s[2] < last]
    tracks = sorted({s[0] for s in shown})
    colour = {n: COLOURS[k % len(COLOURS)] for k, n in enumerate(dict.fromkeys(s[1] for s in shown))}
    scale = (WIDTH - LEFT - 10) / (last - first)
    height = 40 + len(tracks) * (ROW + GAP)
    svg = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>']
    step = next(s for s in (10, 20, 50, 100, 200, 500, 1000, 5000) if (last - first) / s <= 10)
    t = first - first % step + step
    while t < last:
        x = LEFT + (t - first) * scale
        svg += [f'<line x1="{x:.1f}" y1="22" x2="{x:.1f}" y2="{height}" stroke="#e0e0e0"/>',
                f'<text x="{x + 3:.1f}" y="16" fill="#757575">{t:.0f} \u00b5s</text>']
        t += step
    for k, track in enumerate(tracks):
        y = 30 + k * (ROW + GAP)
        svg.append(f'<text x="8" y="{y + 17}" fill="#212121">{escape(names.get(track, "?"))}</text>')
        for _, name, b, e, _ in (s for s in shown if s[0] == track):
            x, end = LEFT + (max(b, first) - first) * scale, LEFT + (min(e, last) - first) * scale
            w = max(end - x, 0.8)
            svg.append(f'<rect x="{x:.1f}" y="{y}" width="{w:.1f}" height="{ROW}" fill="{colour[name]}"/>')
            if w > 7 * len(name):
                svg.append(f'<text x="{x + 4:.1f}" y="{y + 17}" fill="#ffffff">{escape(name)}</text>')
    svg.append('</svg>')
    open(out, 'w').write('\n'.join(svg) + '\n')


main()
