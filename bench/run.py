#!/usr/bin/env python3
"""Speed ratios, measured side by side in one run: Turnstile against Debian's Bochs and QEMU/TCG where they are installed.
Absolute times mean little on a shared machine; each figure is the best of --repeat rounds taken in turn.

  run.py [--build DIR] [--repeat N] [--rounds N] [--only NAME] [--jit SETTING] [--write]
  run.py [--build DIR] --against DIR [--rounds N] [--repeat N] [--wall] [--only NAME] [--jit SETTING]

With --against our own measures alone are taken, with both builds in turn: processor time of the program (the other load of the
computer counts little, but the kernel tells it in ticks, of 4 ms here and there) or, with --wall, wall time; the ratio of each
round, and the median of the rounds. A measure more than 3 % slower is marked, and the exit status is 1."""
import argparse
import fcntl
import os
import pty
import re
import resource
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time

import loads
import page
import ratios

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
GUESTS = ['intloop', 'memloop', 'vmrun', 'nested', 'vmx'] # vmx: TCG has none, so Bochs alone is the peer
OWN = GUESTS + ['boot', 'start-up']
LOOKING = [[], ['--stats=/dev/null'], ['--trace=vm,limit=1M:/dev/null'], ['--trace=vm,int:/dev/null']] # what watching costs
SLOWER = 1.03 # a ratio above this is a loss
BOOT_LINE = 'console=ttyS0 quiet'

BOCHSRC = """megs: 256
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
cpu: model=ryzen, count=1, ips=1000000000, reset_on_triple_fault=0
clock: sync=none
display_library: term
ata0-master: type=disk, path={disk}, mode=flat, cylinders=20, heads=16, spt=63
boot: disk
com1: enabled=1, mode=file, dev={out}
log: /dev/null
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
"""


def boot_disk(elf, path):
    with tempfile.TemporaryDirectory() as d:
        subprocess.run(['gcc', '-nostdlib', '-static', '-no-pie', '-m32', '-Wl,-Ttext=0x7c00,--oformat=binary,--build-id=none',
                        os.path.join(ROOT, 'bench/boot.S'), '-o', d + '/boot'], check=True, stderr=subprocess.DEVNULL)
        subprocess.run(['objcopy', '-O', 'binary', elf, d + '/image'], check=True)
        data = open(d + '/boot', 'rb').read()[:512] + open(d + '/image', 'rb').read()
    size = 20 * 16 * 63 * 512
    open(path, 'wb').write(data + bytes(size - len(data)))


def drain(fd):
    """Read what nobody wants to see, until the last writer is gone."""
    try:
        while os.read(fd, 65536):
            pass
    except OSError:
        pass
    os.close(fd)


def start(command):
    """A process in a session and a process group of its own, on a terminal of its own, which Bochs's display needs."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 25, 80, 0, 0))
    p = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=dict(os.environ, TERM='xterm'), start_new_session=True)
    os.close(theirs)
    threading.Thread(target=drain, args=(ours,), daemon=True).start()
    return p


def stop(p):
    """End what start() began, with its children, and nothing else: `bochs` is a script around the program."""
    try:
        os.killpg(p.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    p.wait()


def wall(p):
    return time.time()


def processor(p):
    """Seconds of processor time so far, of all threads; and of its child's, since `bochs` is a script around the program."""
    with open(f'/proc/{p.pid}/task/{p.pid}/children') as f:
        return sum(loads.process_clock(int(pid)) for pid in [p.pid, *f.read().split()])


def follow(command, out_path, limit, clock=processor):
    """Run command until its COM1 file ends with the line `over` or the process leaves; {name: seconds / count}."""
    open(out_path, 'w').close()
    p = start(command)
    started, results, seen, over, now, deadline = {}, {}, '', False, 0, time.time() + limit
    with open(out_path, errors='replace') as f:
        while time.time() < deadline:
            text = f.read()
            now = clock(p) if p.poll() is None else now
            seen += text
            lines = seen.split('\n')
            seen = lines.pop()
            for line in lines:
                m = re.match(r'(start|end) (\S+)(?: (\d+))?', line)
                if m and m.group(1) == 'start':
                    started[m.group(2)] = now
                elif m and now > started[m.group(2)]: # else both came at once: nothing was measured
                    results[m.group(2)] = (now - started[m.group(2)]) / int(m.group(3))
                over = over or line == 'over'
            if over or (p.poll() is not None and not text):
                break
            if not text:
                time.sleep(0.0003)
    stop(p)
    return results


def own_machine(build, out, elf, more=()):
    cpu = 'intel,+vmx' if elf.endswith('-vmx.elf') else 'amd'
    return [os.path.join(build, 'turnstile'), 'run', '--cpu', cpu, '--serial', 'file:' + out, *more, elf]


def machines(build, work, elf):
    out = os.path.join(work, 'out')
    vmx = elf.endswith('-vmx.elf')
    yield 'turnstile', own_machine(build, out, elf), out
    if shutil.which('qemu-system-x86_64') and not vmx:
        yield 'tcg', ['qemu-system-x86_64', '-M', 'q35', '-accel', 'tcg', '-cpu', 'max', '-display', 'none', '-monitor', 'none',
                      '-serial', 'file:' + out, '-no-reboot', '-kernel', elf], out
    if shutil.which('bochs') and os.path.exists('/usr/share/bochs/BIOS-bochs-latest'):
        disk, rc, go = work + '/disk.img', work + '/bochsrc', work + '/go'
        boot_disk(elf, disk)
        text = BOCHSRC.replace('model=ryzen', 'model=corei7_haswell_4770') if vmx else BOCHSRC
        open(rc, 'w').write(text.format(disk=disk, out=out))
        open(go, 'w').write('continue\n')
        yield 'bochs', ['bochs', '-q', '-f', rc, '-rc', go], out


def iso(kernel, initrd, path, work):
    """A bootable CD for Bochs, by isolinux where it and xorriso are installed."""
    tree = os.path.join(work, 'iso')
    os.makedirs(tree)
    for src in ('/usr/lib/ISOLINUX/isolinux.bin', '/usr/lib/syslinux/modules/bios/ldlinux.c32', kernel, initrd):
        shutil.copy(src, tree)
    with open(os.path.join(tree, 'isolinux.cfg'), 'w') as f:
        f.write(f'default l\nprompt 0\nlabel l\nkernel {os.path.basename(kernel)}\nappend initrd={os.path.basename(initrd)} {BOOT_LINE}\n')
    subprocess.run(['xorriso', '-as', 'mkisofs', '-quiet', '-o', path, '-b', 'isolinux.bin', '-c', 'boot.cat', '-no-emul-boot',
                    '-boot-load-size', '4', '-boot-info-table', tree], check=True, stderr=subprocess.DEVNULL)


def own_boot(build, out, kernel, initrd):
    return [os.path.join(build, 'turnstile'), 'run', '--cpu', 'amd', '-m', '256', '--serial', 'file:' + out, '--kernel', kernel, '--initrd',
            initrd, '--append', BOOT_LINE]


def boot_machines(build, work, kernel, initrd):
    out = os.path.join(work, 'out')
    yield 'turnstile', own_boot(build, out, kernel, initrd), out
    if shutil.which('qemu-system-x86_64'):
        yield 'tcg', ['qemu-system-x86_64', '-M', 'q35', '-accel', 'tcg', '-cpu', 'max', '-m', '256', '-display', 'none', '-monitor',
                      'none', '-serial', 'file:' + out, '-no-reboot', '-kernel', kernel, '-initrd', initrd, '-append', BOOT_LINE], out
    if shutil.which('bochs') and shutil.which('xorriso') and os.path.exists('/usr/lib/ISOLINUX/isolinux.bin'):
        image, rc, go = work + '/boot.iso', work + '/bochsrc', work + '/go'
        iso(kernel, initrd, image, work)
        text = BOCHSRC.replace('model=ryzen', 'model=corei7_haswell_4770').format(disk=image, out=out)
        text = re.sub('ata0-master:.*', f'ata0-master: type=cdrom, path={image}, status=inserted', text).replace('boot: disk', 'boot: cdrom')
        open(rc, 'w').write(text)
        open(go, 'w').write('continue\n')
        yield 'bochs', ['bochs', '-q', '-f', rc, '-rc', go], out


def boot_time(command, out_path, limit, clock=processor):
    """Seconds from start to the shell's line."""
    open(out_path, 'w').close()
    begin = time.time()
    p = start(command)
    zero = begin if clock is wall else 0
    took, left = None, False
    while time.time() - begin < limit and not left and not took:
        time.sleep(0.01)
        left = p.poll() is not None
        if 'shell: REACHED' in open(out_path, errors='replace').read():
            took = clock(p) - zero
    stop(p)
    return took


def boot_files(build, work):
    guest = os.path.join(build, 'guest')
    tools = os.path.join(ROOT, 'tools')
    subprocess.run([tools + '/guest-packages', guest], check=True)
    initrd = work + '/initrd.gz'
    subprocess.run([tools + '/mkinitramfs', guest, initrd, ROOT + '/guests/linux/init', ROOT + '/guests/linux/job-shell=job'], check=True)
    return guest, initrd


def measure_boot(build):
    row = {}
    with tempfile.TemporaryDirectory() as work:
        guest, initrd = boot_files(build, work)
        for who, command, out in boot_machines(build, work, guest + '/bzImage', initrd):
            took = boot_time(command, out, 600)
            if took:
                row[who] = took
    return row


def measure_startup(build):
    """Start-up to the first instruction, and resident memory beyond what the guest touched: a guest that does nothing."""
    elf = os.path.join(build, 'guests/hello.elf')
    best = 1e9
    for _ in range(10):
        start = time.time()
        subprocess.run([os.path.join(build, 'turnstile'), 'run', '--serial', 'null', elf], check=True)
        best = min(best, time.time() - start)
    return best, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def measure_kvm_in_kvm(build, repeat):
    """kvm-client in the first Linux and in a second one that QEMU runs below it: tests/clients/nested prints both."""
    env = dict(os.environ, BUILD=build, TURNSTILE=os.path.join(build, 'turnstile'))
    lines = ['| processor | one level | two levels | ratio | instructions, one level | two levels | ratio |', '|---|---|---|---|---|---|---|']
    for model in ('amd', 'intel'):
        best = {}
        for _ in range(repeat):
            text = subprocess.run([ROOT + '/tests/clients/nested', model], env=env, check=True, stdout=subprocess.PIPE).stdout.decode()
            for level, seconds, insns in re.findall(r'^(one|two) levels?: ([\d.]+) s, (\d+) instructions', text, re.M):
                best[level] = min((float(seconds), int(insns)), best.get(level, (1e9, 0)))
        (s1, n1), (s2, n2) = best['one'], best['two']
        lines.append(f'| {model} | {s1:.3f} s | {s2:.3f} s | {s2 / s1:.1f} | {n1:,} | {n2:,} | {n2 / n1:.1f} |')
    return '\n'.join(lines)


def measure_looking(build, repeat):
    """The world switches with nobody watching, with --stats, and with traces. Without: what `vmrun` and `vmx` measure, as ever."""
    lines = ['| watched by | vmrun | vmresume | vmread | vmwrite |', '|---|---|---|---|---|']
    for more in LOOKING:
        best = {}
        for _ in range(repeat):
            for name in ('vmrun', 'vmx'):
                with tempfile.TemporaryDirectory() as work:
                    out = work + '/out'
                    elf = os.path.join(build, 'guests', f'bench-{name}.elf')
                    for bench, seconds in follow(own_machine(build, out, elf, more), out, 300).items():
                        best[bench] = min(seconds, best.get(bench, seconds))
        cells = [f'{best[b] * 1e9:,.1f} ns' if b in best else '-' for b in ('vmrun', 'vmresume', 'vmread', 'vmwrite')]
        lines.append(f'| {" ".join(more) or "nobody"} | {" | ".join(cells)} |')
    return '\n'.join(lines)


def measure(build, names, repeat):
    best = {}
    for name in names:
        elf = os.path.join(build, 'guests', f'bench-{name}.elf')
        for _ in range(repeat):
            with tempfile.TemporaryDirectory() as work:
                for who, command, out in machines(build, work, elf):
                    for bench, seconds in follow(command, out, 300).items():
                        row = best.setdefault(bench, {})
                        row[who] = min(seconds, row.get(who, seconds))
    return best


def report(best):
    lines = ['| measure | Turnstile | TCG | Bochs | Turnstile / TCG | Bochs / Turnstile |', '|---|---|---|---|---|---|']
    for bench, row in best.items():
        own = row.get('turnstile')

        def cell(who):
            if who not in row:
                return '-'
            return f'{row[who] * 1e9:,.1f} ns' if row[who] < 1e-2 else f'{row[who]:.2f} s'

        tcg = f'{own / row["tcg"]:.2f}' if own and 'tcg' in row else '-'
        bochs = f'{row["bochs"] / own:.2f}' if own and 'bochs' in row else '-'
        lines.append(f'| {bench} | {cell("turnstile")} | {cell("tcg")} | {cell("bochs")} | {tcg} | {bochs} |')
    for inside, outside, title in (('inside', 'outside', 'code under nested paging / outside'), ('ept-inside', 'ept-outside', 'code under EPT / outside')):
        if 'turnstile' in best.get(inside, {}):
            ratio = best[inside]['turnstile'] / best[outside]['turnstile']
            lines.append(f'| {title} | {ratio:.3f} | | | | |')
    return '\n'.join(lines)


# ---- two builds of ours ----

def own_measures(build, guests, name, work, clock):
    """What `name` measures, once, with the program of `build` and the guests of `guests`: {measure: seconds}."""
    out = os.path.join(work, 'out')
    if name == 'boot':
        took = boot_time(own_boot(build, out, os.path.join(guests, 'guest/bzImage'), work + '/initrd.gz'), out, 600, clock)
        return {name: took} if took else {}
    if name == 'start-up':
        return {name: startup_own(build, os.path.join(guests, 'guests/hello.elf'), clock)}
    elf = os.path.join(guests, 'guests', f'bench-{name}.elf')
    return follow(own_machine(build, out, elf), out, 300, clock)


def own_round(build, base, name, repeat, work, swap, clock):
    """{measure: (now, before)}, the best of `repeat`. The two builds take turns as often as they can: both see the same load."""
    best = {build: {}, base: {}}
    for _ in range(1 if name == 'boot' else repeat):
        for which in (base, build) if swap else (build, base):
            for measure_name, seconds in own_measures(which, build, name, work, clock).items():
                best[which][measure_name] = min(seconds, best[which].get(measure_name, seconds))
    return {m: (now, best[base][m]) for m, now in best[build].items() if m in best[base]}


def startup_own(build, elf, clock):
    def used():
        u = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.time() if clock is wall else u.ru_utime + u.ru_stime

    best = 1e9
    for _ in range(20):
        before = used()
        subprocess.run([os.path.join(build, 'turnstile'), 'run', '--serial', 'null', elf], check=True)
        best = min(best, used() - before)
    return best


def compare(build, base, names, rounds, repeat, clock):
    """Rounds with both builds, which begin in turn; prints a table; true: nothing is more than 3 % slower."""
    taken = {}
    with tempfile.TemporaryDirectory() as work:
        if 'boot' in names:
            boot_files(build, work)
        for n in range(rounds):
            for name in names:
                for measured, pair in own_round(build, base, name, repeat, work, n % 2, clock).items():
                    taken.setdefault(measured, []).append(pair)
            print(f'round {n + 1} of {rounds} done', file=sys.stderr, flush=True)
    print('| measure | before, best | now, best | best / best | now / before, median of the rounds | from, to | |')
    print('|---|---|---|---|---|---|---|')
    good = True
    for name, pairs in taken.items():
        ratios = sorted(now / before for now, before in pairs)
        median = statistics.median(ratios)
        good &= median <= SLOWER
        now, before = (min(x) * 1e9 for x in zip(*pairs))
        print(f'| {name} | {before:,.1f} ns | {now:,.1f} ns | {now / before:.3f} | {median:.3f} | {ratios[0]:.3f}, {ratios[-1]:.3f} | '
              f'{"SLOWER" if median > SLOWER else ""} |')
    return good


def versions():
    out = []
    for command in (['qemu-system-x86_64', '--version'], ['bochs', '--help']):
        if shutil.which(command[0]):
            text = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.decode(errors='replace')
            m = re.search(r'.*(?:version|Bochs x86).*', text)
            out.append(m.group(0).strip() if m else command[0])
    return out


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--build', default='build')
    ap.add_argument('--repeat', type=int, default=2, help='of so many the best counts')
    ap.add_argument('--only', action='append')
    ap.add_argument('--against', metavar='DIR', help='another build of ours: compare the two')
    ap.add_argument('--rounds', type=int, default=5)
    ap.add_argument('--jit', metavar='SETTING', help='passed on to our machine where it has that option')
    ap.add_argument('--write', action='store_true', help='put table and picture of the loads into docs/BENCHMARKS.md, after every round')
    ap.add_argument('--wall', action='store_true', help='with --against, on a quiet computer: wall time')
    a = ap.parse_args()
    build, base = os.path.abspath(a.build), a.against and os.path.abspath(a.against)
    known = OWN + ['looking', 'kvm-in-kvm', 'loads', 'compute'] + loads.NAMES
    wrong = [n for n in a.only or [] if n not in known]
    if wrong:
        ap.error(f'no measure {wrong[0]}: there are {", ".join(known)}')
    chosen = [n for n in loads.NAMES if not a.only or n in a.only or 'loads' in a.only or ('compute' in a.only and loads.is_compute(n))]
    if a.jit and not loads.knows_jit(build):
        print(f'--jit {a.jit}: this build has no such option', file=sys.stderr)
    if base:
        names = [n for n in a.only or OWN if n in OWN]
        clock = wall if a.wall else processor
        good = not names or compare(build, base, names, a.rounds, a.repeat, clock)
        sys.exit(not (compare_loads(build, base, chosen, a) and good))
    if chosen:
        measure_loads(build, chosen, a)
    if not a.only or set(a.only) - set(loads.NAMES) - {'loads', 'compute'}:
        measure_machine(build, a)


def compare_loads(build, base, chosen, a):
    """The loads with two builds; true: nothing is more than 3 % slower. Unless they are named they are left out: they take minutes."""
    if not a.only or not chosen:
        return True
    rows, machines = loads.measure(build, base, chosen, a.rounds, a.jit, peers=False)
    print(ratios.table(rows, machines, 'Turnstile'))
    slower = [r.name for r in rows if (r.ratio('Turnstile', 'before') or 0) > SLOWER]
    print(f'SLOWER: {", ".join(slower)}' if slower else 'nothing is slower')
    return not slower


def measure_loads(build, chosen, a):
    def written(rows, machines, rounds):
        page.write(rows, machines, build, rounds, a.jit)

    rows, machines = loads.measure(build, None, chosen, a.rounds, a.jit, **({'each': written} if a.write else {}))
    peers = [m for m in machines if m != 'Turnstile']
    print(ratios.table(rows, machines, 'Turnstile'))
    for line in ratios.summary(rows, 'Turnstile', peers) + [note for row in rows for note in row.notes]:
        print(line)


def measure_machine(build, a):
    for v in versions():
        print('peer: ' + v)
    print('settings: QEMU -M q35 -accel tcg -cpu max; Bochs model=ryzen (boot: corei7_haswell_4770), ips=1000000000, sync=none, disk boot')
    startup, resident = measure_startup(build)
    best = measure(build, [n for n in a.only or GUESTS if n in GUESTS], a.repeat)
    if not a.only or 'boot' in a.only:
        best['boot'] = measure_boot(build)
    print(report(best))
    if not a.only or 'looking' in a.only:
        print(measure_looking(build, a.repeat))
    if not a.only or 'kvm-in-kvm' in a.only:
        print(measure_kvm_in_kvm(build, a.repeat))
    print(f'start-up, a guest that only says hello, and exit: {startup * 1e3:.1f} ms; resident {resident:.0f} MiB')


if __name__ == '__main__':
    main()
