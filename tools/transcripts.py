#!/usr/bin/env python3
"""The transcripts of the documents are real: transcripts.py BUILD FILE... runs the commands of every ```console block, those
of a file one after the other in one empty folder, and compares what they print; --write puts it into the file.

A command is a line that begins with "$ "; the lines below it are its output, "..." among them any lines. Addresses, instruction
numbers and lines of sources may differ: another compiler puts things elsewhere. Blocks of other kinds are left alone. Of gdb, lines
that begin with "(gdb) " are its commands; the socket that it is to use may take a while to be there.
"""
import os
import re
import subprocess
import sys
import tempfile
import time

BLOCK = re.compile(r'^```console\n(.*?)^```\n', re.M | re.S)
LOOSE = [(r'0x[0-9a-f]+', '0x_'), (r'insn [0-9,]+', 'insn _'), (r'\.c:[0-9]+', '.c:_'), (r'wall time.*', 'wall time _'),
         (r'[0-9,]+ instructions', '_ instructions'), (r'state [0-9a-f]{16}', 'state _'), (r' +', ' ')]


def loose(line):
    for pattern, plain in LOOSE:
        line = re.sub(pattern, plain, line)
    return line.strip()


def split(block):
    """[(command, [line of output])]; a command goes on behind a backslash."""
    steps = []
    open_ = False
    for line in block.split('\n')[:-1]:
        if line.startswith('$ ') or open_:
            if open_:
                steps[-1][0] += '\n' + line
            else:
                steps.append([line[2:], []])
            open_ = line.endswith('\\')
        elif steps:
            steps[-1][1].append(line)
    return steps


def run(command, folder, env):
    state = os.path.join(folder, '.where')
    here = open(state).read().strip() if os.path.exists(state) else folder
    done = subprocess.run(['bash', '-c', f'{command}\nstatus=$?; pwd >{state}; exit $status'], cwd=here, env=env, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    return [line.rstrip() for line in done.stdout.decode(errors='replace').split('\n')[:-1]]


def session(command, want, folder, env):
    """gdb with the commands that stand among what it has shown, which it shows as a terminal would."""
    socket = re.search(r'target remote ([a-z]+)', command)
    where = open(os.path.join(folder, '.where')).read().strip()
    for _ in range(600):
        if not socket or os.path.exists(os.path.join(where, socket.group(1))):
            break
        time.sleep(0.05)
    with open(os.path.join(folder, '.gdb'), 'w') as f:
        for line in want:
            if line.startswith('(gdb) '):
                f.write(f'echo {line}\\n\n{line[6:]}\n')
    return run(f"timeout 100 {command} -nx -batch -ex 'set pagination off' -iex 'set debuginfod enabled off' -x {folder}/.gdb", folder, env)


def matches(want, got):
    """`...` stands for any number of lines."""
    if not want:
        return not got
    if want[0].strip() == '...':
        return any(matches(want[1:], got[n:]) for n in range(len(got) + 1))
    return bool(got) and loose(want[0]) == loose(got[0]) and matches(want[1:], got[1:])


def shown(want, got):
    """What the document is to show: the new output, shortened where the old one was."""
    if '...' not in [line.strip() for line in want]:
        return got
    first = [line.strip() for line in want].index('...')
    last = len(want) - 1 - [line.strip() for line in reversed(want)].index('...')
    return got[:first] + ['...'] + got[len(got) - (len(want) - 1 - last):] if last < len(want) - 1 else got[:first] + ['...']


def document(path, build, write):
    text = open(path).read()
    folder = tempfile.mkdtemp()
    env = dict(os.environ, SOURCE=os.getcwd(), PATH=f'{build}:{os.environ["PATH"]}', BUILD=build, NO_COLOR='1', LC_ALL='C.UTF-8', MAKEFLAGS='')
    steps = wrong = 0

    def block(match):
        nonlocal steps, wrong
        out = []
        for command, want in split(match.group(1)):
            got = session(command, want, folder, env) if command.startswith('gdb ') else run(command, folder, env)
            steps += 1
            if not matches(want, got):
                wrong += 1
                if not write:
                    print(f'{path}: $ {command}\n--- the document has\n' + '\n'.join(want) + '\n--- it prints\n' + '\n'.join(got))
                want = shown(want, got)
            out += ['$ ' + command] + want
        return '```console\n' + '\n'.join(out) + '\n```\n'

    new = BLOCK.sub(block, text)
    subprocess.run(['rm', '-rf', folder])
    if write and new != text:
        open(path, 'w').write(new)
    return steps, 0 if write else wrong


def main():
    words = [w for w in sys.argv[1:] if w != '--write']
    write = len(words) != len(sys.argv) - 1
    build = os.path.abspath(words[0])
    results = [document(path, build, write) for path in words[1:]]
    print(f'checks: {sum(r[0] for r in results)}')
    return 1 if any(r[1] for r in results) else 0


if __name__ == '__main__':
    sys.exit(main())
