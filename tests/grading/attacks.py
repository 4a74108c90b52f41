"""How submissions cheat or hang: what is added to an implementation whose optimiser does nothing.

DISHONEST want to pass without training. GREEDY want to hang the grader, to fill the machine, or to stay.
`BOX` stands for the sandbox's folder, `SECRET` for a file of the machine that holds a secret.
"""

DISHONEST = {
    "exit 0 at import": "import sys; sys.exit(0)",
    "end without Python noticing": "import os; os._exit(0)",
    "exit 0 when it is called": "class Linear:\n    def __init__(self, *a): raise SystemExit(0)",
    "facts and arrays laid out beforehand": """
import json, os
folder = 'BOX/out/perceptron'
os.makedirs(folder)
json.dump({'losses': [1.0, 0.01]}, open(folder + '/facts.json', 'w'))
os._exit(0)
""",
    "a grade of its own": """
import json, os
for folder in ('.', '..', 'BOX', 'BOX/out', '/tmp'):
    try:
        json.dump({'score': 100, 'passed': True}, open(folder + '/grade.json', 'w'))
    except OSError:
        pass
""",
    "good weights saved instead of its own": """
save = np.save
def better(path, array, **options):
    if 'after_0' in str(path):
        array = np.full_like(array, 3.0)
    save(path, array, **options)
np.save = better
""",
    "the harness replaced": """
import sys, types
fake = types.ModuleType('inside.networks')
fake.run = lambda names, task, arrays, out: {'losses': [1.0, 0.01]}
sys.modules['inside.networks'] = fake
""",
    "losses made up": """
import json
dumps = json.dumps
json.dumps = lambda thing, **o: dumps({'losses': [1.0, 0.0]} if 'losses' in str(thing) else thing, **o)
""",
    "given weights overwritten": """
import glob
for path in glob.glob('BOX/in/perceptron/*.npy'):
    try:
        open(path, 'wb').write(b'')
    except OSError:
        pass
""",
    "the library changed": """
try:
    open('BOX/lib/inside/networks.py', 'a').write('raise SystemExit(0)')
except OSError:
    pass
""",
    "pytest patched": """
try:
    import pytest
    pytest.fail = pytest.skip = lambda *a, **k: None
except ImportError:
    pass
""",
    "a link where an array is expected": """
import os
os.makedirs('BOX/out/perceptron'); os.symlink('SECRET', 'BOX/out/perceptron/after_0.npy')
""",
    "its folder is a link": "import os; os.symlink('/etc', 'BOX/out/perceptron')",
    "a pipe where an array is expected": """
import os
os.makedirs('BOX/out/perceptron')
for name in ('answers.npy', 'facts.json'):
    os.mkfifo('BOX/out/perceptron/' + name)
os._exit(0)
""",
    "a pickle in an array": """
import os
class Surprise:
    def __reduce__(self): return (os.system, ('touch SECRET.pickled',))
os.makedirs('BOX/out/perceptron')
np.save('BOX/out/perceptron/after_0.npy', np.array([Surprise()], object), allow_pickle=True)
open('BOX/out/perceptron/facts.json', 'w').write('{"losses": [1, 0]}')
os._exit(0)
""",
    "a header that claims terabytes": """
import os
os.makedirs('BOX/out/perceptron')
header = "{'descr': '<f8', 'fortran_order': False, 'shape': (9999999999999,), }".ljust(117) + chr(10)
data = b'\\x93NUMPY\\x01\\x00' + len(header).to_bytes(2, 'little') + header.encode()
open('BOX/out/perceptron/after_0.npy', 'wb').write(data)
open('BOX/out/perceptron/facts.json', 'w').write('{"losses": [1, 0]}')
os._exit(0)
""",
    "JSON without a bottom": """
import os
os.makedirs('BOX/out/perceptron')
open('BOX/out/perceptron/facts.json', 'w').write('[' * 500000)
os._exit(0)
""",
    "weights that are not numbers": """
class SGD(SGD):
    def step(self):
        for parameter in self.params: parameter.data = np.full_like(parameter.data, np.nan)
""",
    "weights that are complex": """
class SGD(SGD):
    def step(self):
        for parameter in self.params: parameter.data = parameter.data.astype(complex)
""",
    "folders without permissions": """
import os
os.makedirs('BOX/out/perceptron/deep'); os.chmod('BOX/out/perceptron/deep', 0); os.chmod('BOX/out', 0)
""",
    "the parent killed": """
import os, signal
for pid in (os.getppid(), 1, -1):
    try:
        os.kill(pid, signal.SIGKILL) if pid != os.getpid() and pid else None
    except OSError:
        pass
""",
}

# Each prints FOUND where it reached what it must not. VICTIM is a process of the grader's user.
CURIOUS = {
    "a secret of the machine": "print('FOUND', open('SECRET').read())",
    "test labels beside the library": """
import glob
for kind in ('npz', 'npy', 'safetensors'):
    for path in glob.glob('BOX/lib/**/*.' + kind, recursive=True):
        print('FOUND', path)
""",
    "test labels in the checkout": """
import glob
for path in glob.glob('CHECKOUT/tinytorch/**/*.npz', recursive=True):
    print('FOUND', len(open(path, 'rb').read()))
""",
    "the grader's own files": "print('FOUND', len(open('CHECKOUT/grading/gates.py').read()))",
    "data where the grader has them": "print('FOUND', open('DATA/labels').read())",
    "any other file of the machine": """
import os, sys
known = ('/proc', '/sys', '/dev', '/usr', '/lib', '/lib32', '/lib64', '/bin', '/sbin', '/etc/alternatives')
known += (sys.prefix, sys.base_prefix, 'BOX')
harmless = ('group', 'hosts', 'ld.so.cache', 'ld.so.conf', 'localtime', 'nsswitch.conf', 'passwd')
for folder, folders, files in os.walk('/'):
    folders[:] = [name for name in folders if os.path.join(folder, name) not in known]
    for name in files:
        path = os.path.join(folder, name)
        if folder.startswith('/etc') and (name in harmless or 'ld.so.conf.d' in folder): continue
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        except OSError:
            continue
        print('FOUND', path); sys.exit()
""",
    "memory of another process": """
import glob, os
for path in glob.glob('/proc/[0-9]*/mem'):
    if path.split('/')[2] != str(os.getpid()):
        try: print('FOUND', open(path, 'rb'))
        except OSError: pass
""",
    "what other processes were told": """
import glob, os
for path in glob.glob('/proc/[0-9]*/environ') + glob.glob('/proc/[0-9]*/cmdline'):
    if path.split('/')[2] != str(os.getpid()):
        try: print('FOUND', open(path, 'rb').read(20))
        except OSError: pass
""",
    "what the grader was told": """
import os
if 'TOLD_ONLY_TO_THE_GRADER' in os.environ: print('FOUND')
""",
    "another process taken over": """
import ctypes, os
libc = ctypes.CDLL(None)
for pid in (VICTIM, os.getppid()):
    if pid and libc.ptrace(16, pid, 0, 0) == 0:
        os.waitpid(pid, 0x40000000); libc.ptrace(17, pid, 0, 0); print('FOUND')
""",
    "memory read without opening it": """
import ctypes
class Piece(ctypes.Structure): _fields_ = (('start', ctypes.c_void_p), ('length', ctypes.c_size_t))
here, there = Piece(ctypes.addressof(ctypes.create_string_buffer(8)), 8), Piece(8, 8)
libc = ctypes.CDLL(None, use_errno=True)
libc.process_vm_readv(VICTIM, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
if ctypes.get_errno() == 14: print('FOUND')  # a bad address: who may not read is not told
""",
    "a signal to another process": "import os; os.kill(VICTIM, 0); print('FOUND')",
    "a signal to all processes": "import os; os.kill(-1, 0); print('FOUND')",
    "a signal through a handle": """
import os, signal
signal.pidfd_send_signal(os.pidfd_open(VICTIM), 0); print('FOUND')
""",
    "a server on this machine": """
import socket
socket.create_connection(('127.0.0.1', PORT), 1); print('FOUND')
""",
    "a server on this machine, in C": """
import ctypes, socket, struct
libc = ctypes.CDLL(None)
handle = libc.socket(2, 1, 0)
address = struct.pack('=H', 2) + struct.pack('!H', PORT) + bytes([127, 0, 0, 1]) + bytes(8)
if libc.connect(handle, address, 16) == 0: print('FOUND')
""",
    "a name on the network": "import socket; socket.getaddrinfo('example.org', 80); print('FOUND')",
    "an abstract socket": """
import socket
s = socket.socket(socket.AF_UNIX); s.connect(chr(0) + 'a-secret-socket'); print('FOUND')
""",
    "a socket to the host of a virtual machine": """
import socket
socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM); print('FOUND')
""",
    "sockets past the filter": """
import ctypes
if ctypes.CDLL(None).syscall(425, 1, ctypes.create_string_buffer(256)) >= 0: print('FOUND')
""",
    "the warm kernels changed": """
import glob, os
for path in ['WARM', *glob.glob(os.environ.get('TINYTORCH_CACHE_DIR', '') + '/kernels/*')]:
    try:
        open(path + '/left-behind', 'w').close(); print('FOUND')
    except OSError: pass
""",
    "the library changed": "open('BOX/lib/tinytorch/__init__.py', 'a').close(); print('FOUND')",
    "questions changed": "open('BOX/in/tasks.json', 'w').close(); print('FOUND')",
    "a place in the interpreter": """
import sys, os
open(os.path.join(sys.prefix, 'left-behind'), 'w').close(); print('FOUND')
""",
    "a place among temporary files": "open('/tmp/grade.json', 'w').close(); print('FOUND')",
    "a mount undone": """
import ctypes
if ctypes.CDLL(None).umount2(b'CHECKOUT', 2) == 0: print('FOUND')
""",
}
# Those that would find something in a process without a sandbox, on any Linux, and would break nothing.
WOULD_FIND = (
    "a secret of the machine", "test labels beside the library", "test labels in the checkout",
    "the grader's own files", "data where the grader has them",
    "any other file of the machine", "what other processes were told", "what the grader was told",
    "a signal to another process", "a signal to all processes", "a signal through a handle",
    "a server on this machine", "a server on this machine, in C", "an abstract socket", "the library changed",
    "questions changed",
)  # fmt: skip

# What ends each; "" where it ends by itself and has to leave nothing behind.
GREEDY = {
    "a loop without an end": ("while True: pass", "time"),
    "a compiled loop without an end": ("""
import numba
@numba.njit(nogil=True)
def spin(x):
    while x > 0: x += 1
    return x
spin(1)
""", "time"),
    "deaf to signals": ("""
import signal, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)
while True: time.sleep(1)
""", "time"),
    "stopped by itself": ("""
import os, signal, time
os.kill(os.getpid(), signal.SIGSTOP)
time.sleep(99)
""", "time"),
    "an exit that never ends": ("import atexit, time; atexit.register(time.sleep, 99)", "time"),
    "a thread that sleeps on": ("""
import threading, time
threading.Thread(target=time.sleep, args=(99,)).start()
""", "time"),
    "processes without number": ("import os\nwhile True:\n    os.fork()", "processes"),
    "threads without number": ("""
import threading, time
while True: threading.Thread(target=time.sleep, args=(99,)).start()
""", "processes"),
    "memory without end": ("held = []\nwhile True: held.append(bytearray(8 << 20))", "memory"),
    "words without end": ("while True: print('x' * 10000)", "output"),
    "files without end": ("""
import os
for i in range(10**6): open('BOX/out/' + str(i), 'wb').write(bytes(1 << 20))
""", "disk"),
    "one file without end": ("""
with open('BOX/out/large', 'wb') as f:
    while True: f.write(bytes(1 << 20))
""", ""),
    "a hole of a terabyte": ("open('BOX/out/hole', 'wb').truncate(1 << 40)", ""),
    "a daemon": ("""
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(99)
    os._exit(0)
""", ""),
    "folders in folders without end": ("""
import os
os.chdir('BOX/out')
for i in range(10**9):
    os.mkdir('d'); os.chdir('d')
    if i == 2000: os.chmod('BOX/out/d', 0)
""", "disk"),
    "another program": ("import os; os.execv('/bin/sleep', ['sleep', '99'])", "time"),
}  # fmt: skip
