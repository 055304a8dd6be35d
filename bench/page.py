"""The page: the table of the loads and its picture, put between two lines of docs/BENCHMARKS.md."""
import os
import re
import subprocess
import sys
import time

import picture
import ratios

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
PAGE, PICTURE = os.path.join(ROOT, 'docs/BENCHMARKS.md'), os.path.join(ROOT, 'docs/loads.svg')
BEGIN, END = '<!-- loads: written by bench/run.py -->', '<!-- loads: end -->'


def replace(path, text):
    """`text` between the two lines, and nothing else of the page changed."""
    old = open(path, encoding='utf-8').read()
    parts = re.fullmatch(rf'(.*{re.escape(BEGIN)}\n).*({re.escape(END)}\n.*)', old, re.S)
    if not parts:
        sys.exit(f'bench: {path} does not have the two lines that its table stands between')
    with open(path, 'w', encoding='utf-8') as f:
        f.write(f'{parts[1]}\n{text}\n\n{parts[2]}')


def first_line(command):
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT).stdout.split('\n')[0]
    except OSError:
        return ''


def processor():
    m = re.search(r'^model name\s*: (.*)', open('/proc/cpuinfo').read(), re.M)
    return m[1].strip() if m else 'unknown'


def version(build):
    """The commit that changed the emulator last; the page itself is changed while this runs."""
    commit = first_line(['git', 'log', '-1', '--format=%h', '--', 'src', 'include'])
    changed = first_line(['git', 'status', '--porcelain', '--', 'src', 'include'])
    return commit + (', changed' if changed else '') if commit else first_line([build + '/turnstile', '--version'])


def about(build, rounds, jit):
    """When, where and with which versions."""
    release = open(os.path.join(build, 'guest/release')).read().strip()
    said = [f'date: {time.strftime("%Y-%m-%d")}', f'processor: {processor()}, {os.cpu_count()} processors',
            f'Turnstile: {version(build)}' + (f', --jit {jit}' if jit else ''), f'TCG: {first_line(["qemu-system-x86_64", "--version"]) or "not installed"}',
            f'guest: Linux {release}', f'rounds: {rounds}']
    return '\n'.join('- ' + s for s in said)


def drawn(rows, own, peer):
    bars = [(r.name, r.ratio(own, peer)) for r in rows if r.ratio(own, peer)]
    marks = [(name, {r.name: r.ratio(name, peer) for r in rows if r.ratio(name, peer)}) for name in ('TCG icount', 'native')]
    return picture.draw(f'Time over that of {peer}: further left is faster', f'{own} / {peer}', peer, bars,
                        [(f'{name} / {peer}', of) for name, of in marks])


def write(rows, machines, build, rounds, jit):
    own, peer = 'Turnstile', 'TCG'
    lines = ratios.summary(rows, own, [m for m in machines if m != own]) + [n for r in rows for n in r.notes]
    text = [about(build, rounds, jit), ratios.table(rows, machines, own), '\n'.join('- ' + line for line in lines)]
    if any(r.ratio(own, peer) for r in rows):
        with open(PICTURE, 'w', encoding='utf-8') as f:
            f.write(drawn(rows, own, peer))
        text.insert(1, '![time of each load over that of TCG](loads.svg)')
    replace(PAGE, '\n\n'.join(text))
