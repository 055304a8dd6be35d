#!/usr/bin/env python3
"""Speed ratios, measured side by side in one run: Turnstile against Debian's Bochs and QEMU/TCG where they are installed.
Absolute times mean little on a shared machine; each figure is the best of --repeat rounds taken in turn.

  run.py [--build DIR] [--repeat N] [--only NAME] [--markdown FILE]"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
GUESTS = ['intloop', 'memloop', 'vmrun', 'nested', 'vmx'] # vmx: TCG has none, so Bochs alone is the peer
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


def stop(p):
    """Bochs runs below script(1): the whole session goes."""
    subprocess.run(['pkill', '-KILL', '-s', str(p.pid)])
    p.kill()
    p.wait()
    subprocess.run(['pkill', '-KILL', '-x', 'bochs-bin'])


def follow(command, out_path, limit):
    """Run command until its COM1 file ends a benchmark named `Shutdown` or the process leaves; {name: seconds / count}."""
    open(out_path, 'w').close()
    p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                         env=dict(os.environ, TERM='xterm'), start_new_session=True)
    started, results, seen, over, deadline = {}, {}, '', False, time.time() + limit
    with open(out_path, errors='replace') as f:
        while time.time() < deadline:
            text = f.read()
            now = time.time()
            seen += text
            lines = seen.split('\n')
            seen = lines.pop()
            for line in lines:
                m = re.match(r'(start|end) (\S+)(?: (\d+))?', line)
                if m and m.group(1) == 'start':
                    started[m.group(2)] = now
                elif m:
                    results[m.group(2)] = (now - started[m.group(2)]) / int(m.group(3))
                over = over or line == 'over'
            if over or (p.poll() is not None and not text):
                break
            if not text:
                time.sleep(0.001)
    stop(p)
    return results


def machines(build, work, elf):
    out = os.path.join(work, 'out')
    vmx = elf.endswith('-vmx.elf')
    yield 'turnstile', [os.path.join(build, 'turnstile'), 'run', '--cpu', 'intel,+vmx' if vmx else 'amd', '--serial', 'file:' + out, elf], out
    if shutil.which('qemu-system-x86_64') and not vmx:
        yield 'tcg', ['qemu-system-x86_64', '-M', 'q35', '-accel', 'tcg', '-cpu', 'max', '-display', 'none', '-monitor', 'none',
                      '-serial', 'file:' + out, '-no-reboot', '-kernel', elf], out
    if shutil.which('bochs') and os.path.exists('/usr/share/bochs/BIOS-bochs-latest'):
        disk, rc, go = work + '/disk.img', work + '/bochsrc', work + '/go'
        boot_disk(elf, disk)
        text = BOCHSRC.replace('model=ryzen', 'model=corei7_haswell_4770') if vmx else BOCHSRC
        open(rc, 'w').write(text.format(disk=disk, out=out))
        open(go, 'w').write('continue\n')
        yield 'bochs', ['script', '-qfc', f'bochs -q -f {rc} -rc {go}', '/dev/null'], out


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


def boot_machines(build, work, kernel, initrd):
    out = os.path.join(work, 'out')
    yield 'turnstile', [os.path.join(build, 'turnstile'), 'run', '--cpu', 'amd', '-m', '256', '--serial', 'file:' + out, '--kernel',
                        kernel, '--initrd', initrd, '--append', BOOT_LINE], out
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
        yield 'bochs', ['script', '-qfc', f'bochs -q -f {rc} -rc {go}', '/dev/null'], out


def boot_time(command, out_path, limit):
    """Seconds from start to the shell's line."""
    open(out_path, 'w').close()
    start = time.time()
    p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                         env=dict(os.environ, TERM='xterm'), start_new_session=True)
    took = None
    while time.time() - start < limit and p.poll() is None and not took:
        time.sleep(0.01)
        if 'shell: REACHED' in open(out_path, errors='replace').read():
            took = time.time() - start
    if not took and 'shell: REACHED' in open(out_path, errors='replace').read():
        took = time.time() - start
    stop(p)
    return took


def measure_boot(build):
    guest = os.path.join(build, 'guest')
    tools = os.path.join(ROOT, 'tools')
    subprocess.run([tools + '/guest-packages', guest], check=True)
    row = {}
    with tempfile.TemporaryDirectory() as work:
        initrd = work + '/initrd.gz'
        subprocess.run([tools + '/mkinitramfs', guest, initrd, ROOT + '/guests/linux/init', ROOT + '/guests/linux/job-shell=job'], check=True)
        for who, command, out in boot_machines(build, work, guest + '/bzImage', initrd):
            took = boot_time(command, out, 600)
            if took:
                row[who] = took
    return row


def measure_startup(build):
    """Start-up to the first instruction, and resident memory beyond what the guest touched: a guest that does nothing."""
    import resource
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
    ap.add_argument('--repeat', type=int, default=2)
    ap.add_argument('--only', action='append')
    a = ap.parse_args()
    for v in versions():
        print('peer: ' + v)
    print('settings: QEMU -M q35 -accel tcg -cpu max; Bochs model=ryzen (boot: corei7_haswell_4770), ips=1000000000, sync=none, disk boot')
    build = os.path.abspath(a.build)
    startup, resident = measure_startup(build)
    best = measure(build, [n for n in a.only or GUESTS if n in GUESTS], a.repeat)
    if not a.only or 'boot' in a.only:
        best['boot'] = measure_boot(build)
    print(report(best))
    if not a.only or 'kvm-in-kvm' in a.only:
        print(measure_kvm_in_kvm(build, a.repeat))
    print(f'start-up, a guest that only says hello, and exit: {startup * 1e3:.1f} ms; resident {resident:.0f} MiB')


if __name__ == '__main__':
    main()
