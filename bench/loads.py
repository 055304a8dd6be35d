"""The loads: programs in one Linux guest, on Turnstile, on QEMU/TCG beside it, and the same files natively, in turn.

Every machine boots once a round and waits. A load is then sent to one machine after the other by its serial line (guests/linux/job-bench);
what counts is the processor time that the emulator's process takes between the lines `start` and `end`. A machine whose
turn it is not is stopped."""
import hashlib
import lzma
import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import ratios

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
LIMIT = 900 # seconds of wall time for a boot or a load
BOOT = 'console=ttyS0 quiet loglevel=0 job.nolog'

# Everywhere the same code: what the libraries choose by CPUID is what all of the processors have.
ENVIRONMENT = {
    'GLIBC_TUNABLES': 'glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-ERMS,-FSRM',
    'OPENSSL_ia32cap': ':~0x600e0230000', # no AVX-512, SHA, VAES, VPCLMULQDQ
    'PYTHONDONTWRITEBYTECODE': '1',
}

# name, group, command. `compute` counts in the mean; `virtual` needs KVM; the interpreter takes 2 to 5 s for each.
LOADS = [
    ('integer', 'compute', 'load integer 150000000'),
    ('memory', 'compute', 'load memory 4000'),
    ('core-mix', 'compute', 'load core-mix 10000'),
    ('qsort', 'compute', 'load qsort 30'),
    ('nbody-sse2', 'compute', 'load nbody-sse2 450000'),
    ('nbody-x87', 'compute', 'load nbody-x87 100000'),
    ('sha256', 'compute', 'sha256sum' + ' text' * 30),
    ('gzip', 'compute', 'gzip -nc' + ' text' * 6),
    ('unxz', 'compute', 'xz -dc' + ' text.xz' * 12),
    ('awk', 'compute', 'mawk -f words.awk' + ' text' * 2),
    ('sh', 'compute', 'dash loop.sh 10000'),
    ('python', 'compute', 'python3 -S objects.py 150'),
    ('cc1', 'compute', 'cc1 -quiet -fpreprocessed -O2 source.i -o -'),
    ('sha512', 'compute', 'crypto sha512 60'),
    ('aes', 'compute', 'crypto aes 60'),
    ('rsa', 'compute', 'crypto rsa 80 key.pem'),
    ('memcpy', 'compute', 'load memcpy 2500'),
    ('chase', 'compute', 'load chase 8000000'),
    ('syscalls', 'system', 'load syscalls 3000000'),
    ('fork', 'system', 'load fork 1500'),
    ('faults', 'system', 'load faults 120'),
    ('kvm-integer', 'virtual', 'vm integer 150000000'),
    ('kvm-memory', 'virtual', 'vm memory 4000'),
    ('kvm-client', 'virtual', 'clients.sh 15'),
]
APART = ['boot-vmlinux', 'boot-bzimage', 'qemu-kvm', 'systemd'] # machines of their own
NAMES = [name for name, _, _ in LOADS] + APART


def is_compute(name):
    return (name, 'compute') in [load[:2] for load in LOADS]


OURS = {'load': 'bench/loads/load', 'vm': 'bench/loads/vm', 'crypto': 'bench/loads/crypto', 'kvm-client': 'guests/kvm-client'}
DEBIANS = {'sha256sum': 'usr/bin/sha256sum', 'gzip': 'bin/gzip', 'xz': 'usr/bin/xz', 'mawk': 'usr/bin/mawk', 'dash': 'bin/dash',
           'python3': 'usr/bin/python3.11', 'cc1': 'usr/lib/gcc/x86_64-linux-gnu/12/cc1'}
PACKAGES = ['coreutils+', 'gzip+', 'xz-utils+', 'mawk+', 'dash+', 'python3.11-minimal+', 'cpp-12+', 'libssl3+']
SCRIPTS = ['loop.sh', 'words.awk', 'objects.py', 'clients.sh']
LIBCRYPTO = 'usr/lib/x86_64-linux-gnu/libcrypto.so.3'


# ---- files ----

def text(size):
    """Words in sentences, the same on every computer."""
    state, out, length = 1, [], 0
    syllables = 'ka lo mi re tu ser van del ing ost pra qui bel nor ach'.split()
    while length < size:
        state = (state * 6364136223846793005 + 1442695040888963407) & (1 << 64) - 1
        draw = state >> 33
        word = ''.join(syllables[(draw >> 4 * k) % len(syllables)] for k in range(1 + draw % 3))
        word = word.capitalize() if draw % 11 == 0 else word
        word += '\n' if draw % 13 == 0 else ' '
        out.append(word)
        length += len(word)
    return ''.join(out)[:size].encode()


def make_data(build, folder):
    os.makedirs(folder, exist_ok=True)
    for name in SCRIPTS:
        shutil.copy(os.path.join(ROOT, 'bench/scripts', name), folder)
    data = text(1 << 20)
    with open(folder + '/text', 'wb') as f:
        f.write(data)
    with open(folder + '/text.xz', 'wb') as f:
        f.write(lzma.compress(data))
    subprocess.run(['gcc', '-E', '-P', '-I', ROOT + '/bench/loads', ROOT + '/bench/loads/core_mix.c', '-o', folder + '/source.i'], check=True)
    crypto = os.path.join(build, OURS['crypto'])
    if os.path.exists(crypto) and not os.path.exists(folder + '/key.pem'):
        subprocess.run([crypto, 'key', folder + '/key.pem'], check=True)


class Files:
    """What the loads need, below the build folder: Debian's packages unpacked, data, programs."""

    def __init__(self, build):
        self.build, self.guest = build, os.path.join(build, 'guest')
        self.root, self.data = self.guest + '/root', self.guest + '/bench'
        subprocess.run([ROOT + '/tools/guest-packages', self.guest] + PACKAGES, check=True)
        make_data(build, self.data)
        self.programs = {n: os.path.join(build, p) for n, p in OURS.items() if os.path.exists(os.path.join(build, p))}
        self.programs.update({n: os.path.join(self.root, p) for n, p in DEBIANS.items()})

    def words(self):
        """FILE=PATH words for mkinitramfs."""
        out = {f'{path}=bench/{name}' for name, path in self.programs.items()}
        out |= {f'{self.data}/{name}=bench/{name}' for name in os.listdir(self.data)}
        for name, path in list(DEBIANS.items()) + [('', LIBCRYPTO)]:
            text = subprocess.run([ROOT + '/tools/program-files', self.root, path], check=True, stdout=subprocess.PIPE, text=True).stdout
            out |= {w for w in text.split() if not (name and w.endswith('=' + path))}
        library = self.root + '/usr/lib/python3.11'
        for folder, _, names in os.walk(library):
            out |= {f'{folder}/{n}={os.path.relpath(folder, self.root)}/{n}' for n in names if n.endswith('.py')}
        return sorted(out)

    def image(self):
        p = subprocess.run([ROOT + '/tools/guest-image', self.build, 'bench', 'kvm_amd', 'job-bench'] + self.words(), cwd=ROOT,
                           env=dict(os.environ, COMPRESS='cat'), check=True, stdout=subprocess.PIPE, text=True)
        return p.stdout.strip()

    def native(self, command):
        """The same files on this computer: Debian's dynamic linker starts Debian's programs."""
        name, *args = shlex.split(command)
        path = self.programs[name]
        if path.startswith(self.root) or name == 'crypto':
            folders = ':'.join(f'{self.root}/{f}' for f in ('lib/x86_64-linux-gnu', 'usr/lib/x86_64-linux-gnu'))
            return [self.root + '/lib64/ld-linux-x86-64.so.2', '--library-path', folders, path] + args
        return [path] + args


# ---- machines ----

class Failed(Exception):
    pass


def process_clock(pid):
    """Seconds of processor time of a process, all of its threads, those that have left included."""
    return time.clock_gettime((~pid << 3) | 2)


class Machine:
    """An emulator with the guest's serial line as its standard input and output."""

    def __init__(self, name, command, stops):
        self.name, self.stops, self.seen, self.lines = name, stops, b'', []
        self.p = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)

    def say(self, line):
        if self.stops:
            os.kill(self.p.pid, signal.SIGCONT)
        self.p.stdin.write(line.encode() + b'\n')
        self.p.stdin.flush()

    def rest(self):
        if self.stops:
            os.kill(self.p.pid, signal.SIGSTOP)

    def line(self, deadline):
        """(processor time at its arrival, line)."""
        while not self.lines:
            if not select.select([self.p.stdout], [], [], max(0, deadline - time.time()))[0]:
                raise Failed(f'{self.name}: nothing for {LIMIT} s')
            data = os.read(self.p.stdout.fileno(), 65536)
            if not data:
                raise Failed(f'{self.name}: the machine ended')
            now = process_clock(self.p.pid)
            *lines, self.seen = (self.seen + data).split(b'\n')
            self.lines += [(now, l.decode(errors='replace').rstrip('\r')) for l in lines]
        return self.lines.pop(0)

    def until(self, wanted):
        deadline = time.time() + LIMIT
        while True:
            now, line = self.line(deadline)
            if wanted(line):
                return now, line

    def boot(self, line):
        now, _ = self.until(lambda l: line in l)
        self.rest()
        return now

    def setup(self, command):
        self.say('setup ' + command)
        _, line = self.until(lambda l: (ratios.mark(l) or ' ')[0] == 'setup')
        self.rest()
        if line.split()[1] != '0':
            raise Failed(f'{self.name}: {command}: status {line.split()[1]}')

    def run(self, name, command):
        """(seconds, sum of what it wrote)."""
        self.say(f'{name} ./{command}')
        begin, _ = self.until(lambda l: ratios.mark(l) == ('start', name, None))
        end, line = self.until(lambda l: (ratios.mark(l) or ' ')[:2] == ('end', name))
        _, told = self.until(lambda l: (ratios.mark(l) or ' ')[:2] == ('sum', name))
        self.rest()
        if ratios.mark(line)[2] != '0':
            raise Failed(f'{self.name}: {name} ended with status {ratios.mark(line)[2]}')
        return end - begin, ratios.mark(told)[2]

    def close(self):
        self.p.kill()
        self.p.wait()
        self.p.stdin.close()
        self.p.stdout.close()


class Native:
    """This computer, for scale."""
    name = 'native'

    def __init__(self, files, work):
        self.files, self.work = files, work
        self.env = dict(ENVIRONMENT, PATH=os.environ['PATH'], LC_ALL='C', PYTHONHASHSEED='0', PYTHONHOME=files.root + '/usr')

    def run(self, name, command):
        best, out = None, self.work + '/native-out'
        for _ in range(3):
            with open(out, 'wb') as f:
                p = subprocess.Popen(self.files.native(command), cwd=self.files.data, env=self.env, stdin=subprocess.DEVNULL, stdout=f,
                                     stderr=subprocess.DEVNULL)
            os.waitid(os.P_PID, p.pid, os.WEXITED | os.WNOWAIT)
            took = process_clock(p.pid)
            if p.wait():
                raise Failed(f'native: {name} ended with status {p.returncode}')
            best = min(took, best or took)
        with open(out, 'rb') as f:
            return best, hashlib.md5(f.read()).hexdigest()

    def close(self):
        pass


def knows_jit(build):
    p = subprocess.run([os.path.join(build, 'turnstile'), 'run', '--help'], stdout=subprocess.PIPE, text=True)
    return re.search(r'^ *--jit\b', p.stdout, re.M) is not None


def own_command(build, jit, guest, initrd, append=BOOT, kernel='vmlinux', memory='1G'):
    more = ['--jit', jit] if jit and knows_jit(build) else []
    return [os.path.join(build, 'turnstile'), 'run', '--cpu', 'amd', '-m', memory, '--serial', 'stdio', '--kernel', f'{guest}/{kernel}',
            '--initrd', initrd, '--append', append] + more


def tcg_command(guest, initrd, icount, append=BOOT, kernel='vmlinux', memory='1G'):
    more = ['-icount', 'shift=0,sleep=off'] if icount else []
    return ['qemu-system-x86_64', '-M', 'q35', '-accel', 'tcg', '-cpu', 'max', '-m', memory, '-display', 'none', '-monitor', 'none',
            '-serial', 'stdio', '-no-reboot', '-kernel', f'{guest}/{kernel}', '-initrd', initrd, '-append', append] + more


class Plan:
    """Which machines run: {name: a function of an image and a kernel that gives (command, stopped between loads)}."""

    def __init__(self, build, base, jit, peers):
        guest = os.path.join(build, 'guest')
        self.makers = {'Turnstile': lambda *a, **k: (own_command(build, jit, guest, *a, **k), True)}
        if base:
            self.makers['before'] = lambda *a, **k: (own_command(base, jit, guest, *a, **k), True)
        if peers and shutil.which('qemu-system-x86_64'):
            self.makers['TCG'] = lambda *a, **k: (tcg_command(guest, *a, False, **k), False)
            self.makers['TCG icount'] = lambda *a, **k: (tcg_command(guest, *a, True, **k), True)
        self.native = peers

    def names(self):
        return list(self.makers) + (['native'] if self.native else [])

    def order(self, n):
        """Each round begins with another machine."""
        names = list(self.makers)
        return names[n % len(names):] + names[:n % len(names)]

    def start(self, name, *args, **more):
        command, stops = self.makers[name](*args, **more)
        return Machine(name, command, stops)


# ---- rounds ----

def say(line):
    print(line, file=sys.stderr, flush=True)


def boots(plan, n, image, environment):
    machines = {}
    for name in plan.order(n):
        m = machines[name] = plan.start(name, image, append=f'{BOOT} job.env={environment}')
        try:
            m.boot('bench: ready')
        except Failed as why:
            say(f'  {why}')
            m.close()
            del machines[name]
    return machines


def one_load(machines, row, command):
    """Each machine in turn; what they wrote must be the same."""
    sums = {}
    for name, m in list(machines.items()):
        try:
            if row.group == 'virtual' and name != 'native' and not getattr(m, 'kvm', False):
                m.setup('modprobe kvm_amd')
                m.kvm = True
            seconds, sums[name] = m.run(row.name, command)
        except Failed as why:
            say(f'  {why}')
            seconds = None
            if isinstance(m, Machine) and 'status' not in str(why):
                m.close()
                del machines[name]
        row.add(name, seconds)
    if len(set(sums.values())) > 1 and row.name != 'kvm-client':
        row.notes.append(f'{row.name}: the results differ: {sums}')
    say(f'  {row.name}: ' + ', '.join(f'{n} {ratios.shown(row.rounds[n][-1], "{:.3f}")}' for n in row.rounds))


def linux_round(plan, files, image, rows, n, work):
    environment = ';'.join(f'{k}={v}' for k, v in ENVIRONMENT.items())
    machines = boots(plan, n, image, environment)
    if plan.native:
        machines['native'] = Native(files, work)
    try:
        for row in rows:
            command = next(c for name, _, c in LOADS if name == row.name)
            if shlex.split(command)[0] not in [*files.programs, *SCRIPTS]:
                say(f'{row.name}: skipped: {command.split()[0]} was not built (libssl-dev is missing)')
                continue
            one_load({k: m for k, m in machines.items() if k != 'native' or row.group != 'virtual'}, row, command)
    finally:
        for m in machines.values():
            m.close()


def boot_round(plan, row, image, n, line, **more):
    for name in plan.order(n):
        m = plan.start(name, image, append='console=ttyS0 quiet job.nolog', **more)
        try:
            row.add(name, m.boot(line))
        except Failed as why:
            say(f'  {why}')
            row.add(name, None)
        finally:
            m.close()
    say(f'  {row.name}: ' + ', '.join(f'{k} {ratios.shown(v[-1], "{:.3f}")}' for k, v in row.rounds.items()))


def second(files, work):
    """An image in which Debian's QEMU boots a second Linux by KVM: its command is the load."""
    guest, share = files.guest, files.root + '/usr/share'
    subprocess.run([ROOT + '/tools/guest-packages', guest, 'qemu-system-x86+'], check=True)
    shell = shell_image(files.build)
    words = subprocess.run([ROOT + '/tools/program-files', files.root, 'usr/bin/qemu-system-x86_64'], check=True, stdout=subprocess.PIPE,
                           text=True).stdout.split()
    words += [f'{share}/seabios/bios-256k.bin=usr/share/qemu/bios-256k.bin', f'{guest}/vmlinux=second/vmlinux', f'{shell}=second/initrd']
    words += [f'{share}/qemu/{f}=usr/share/qemu/{f}' for f in ('kvmvapic.bin', 'linuxboot_dma.bin', 'pvh.bin')]
    words += [f'{ROOT}/bench/scripts/second.sh=bench/second.sh']
    p = subprocess.run([ROOT + '/tools/guest-image', files.build, 'bench-qemu', 'kvm_amd', 'job-bench'] + words, cwd=ROOT,
                       env=dict(os.environ, COMPRESS='cat'), check=True, stdout=subprocess.PIPE, text=True)
    return p.stdout.strip()


def shell_image(build):
    return subprocess.run([ROOT + '/tools/guest-image', build, 'shell', '', 'job-shell'], cwd=ROOT, check=True, stdout=subprocess.PIPE,
                          text=True).stdout.strip()


def second_round(plan, row, image, n):
    machines = boots(plan, n, image, 'SECOND=1')
    try:
        one_load(machines, row, 'second.sh')
    finally:
        for m in machines.values():
            m.close()


def measure(build, base, names, rounds, jit, peers=True, each=lambda rows, machines, n: None):
    """[Row] of the loads that are asked for, and the names of the machines; `each` is told what there is after every round."""
    plan, files = Plan(build, base, jit, peers), Files(build)
    rows = [ratios.Row(name, group) for name, group, _ in LOADS if name in names]
    apart = {name: ratios.Row(name, 'boot' if name.startswith('boot') else 'virtual') for name in APART if name in names}
    if apart.pop('systemd', None):
        say('systemd: skipped: no firmware and no disk of an installed system')
    image = files.image() if rows else None
    qemu = second(files, build) if 'qemu-kvm' in apart else None
    if peers and 'TCG' not in plan.makers:
        say('TCG: skipped: qemu-system-x86_64 is not installed (tools/deps bench installs it)')
    with tempfile.TemporaryDirectory() as work:
        for n in range(rounds):
            say(f'round {n + 1} of {rounds}')
            for name, row in apart.items():
                if name == 'qemu-kvm':
                    second_round(plan, row, qemu, n)
                else:
                    kernel = 'bzImage' if name == 'boot-bzimage' else 'vmlinux'
                    boot_round(plan, row, shell_image(build), n, 'shell: REACHED', kernel=kernel, memory='512M')
            if rows:
                linux_round(plan, files, image, rows, n, work)
            each(rows + list(apart.values()), plan.names(), n + 1)
    return rows + list(apart.values()), plan.names()
