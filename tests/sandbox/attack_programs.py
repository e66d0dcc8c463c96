"""Programs that try to get out of the sandbox, to bring the machine down, or to pass tests that they should fail.

``ESCAPES`` print ESCAPED where they reach what they must not. ``FLOODS`` go for a limit, and name the one that should stop
them. ``CHEATS`` are asked for ``f(n) == n * n`` and give something else.
"""

ESCAPES = {
    "read a file outside": "print('ESCAPED', open('{secret}').read())",
    "write a file outside": "open('{secret}', 'w').write('changed')\nprint('ESCAPED')",
    "append by a relative path": "open('../../../../../..{secret}', 'a').write('changed')\nprint('ESCAPED')",
    "unlink a file outside": "import os\nos.unlink('{secret}')\nprint('ESCAPED')",
    "read through a symbolic link": (
        "import os\nos.symlink('{secret}', 'link')\nprint('ESCAPED', open('link').read())"
    ),
    "hard link to a library": (
        "import os\nos.link(os.__file__, 'os.py')\nopen('os.py', 'a').write('#')\nprint('ESCAPED')"
    ),
    "read passwords": "print('ESCAPED', open('/etc/passwd').read(), open('/etc/shadow').read())",
    "list the user's home": (
        "import os, sys\nhere = [n for n in os.listdir('{home}') if not sys.base_prefix.startswith(os.path.join('{home}', n))]\n"
        "if here: print('ESCAPED', here)"
    ),
    "read the project": "print('ESCAPED', open('{project}/pyproject.toml').read())",
    "write to the system": "open('/usr/escaped', 'w').write('x')\nprint('ESCAPED')",
    "write to Python's own library": "import os\nopen(os.__file__, 'a').write('#')\nprint('ESCAPED')",
    "write beside the judge": (
        "import sys\nfile = sys.modules['porism.sandbox.inside.judge'].__file__\nopen(file, 'a').write('#')\nprint('ESCAPED')"
    ),
    "write to the root": "import os\nos.mkdir('/escaped')\nprint('ESCAPED')",
    "change the mode of a device": "import os\nos.chmod('/dev/null', 0)\nprint('ESCAPED')",
    "a shell": "import subprocess\nsubprocess.run(['/bin/sh', '-c', 'cat {secret} && echo ESCAPED'])",
    "system of the C library": "import ctypes\nctypes.CDLL(None).system(b'cat {secret} && echo ESCAPED')",
    "posix after a reload": (
        "import importlib, os, posix\nimportlib.reload(os)\nposix.system('cat {secret} && echo ESCAPED')"
    ),
    "a connection": "import socket\nsocket.create_connection(('127.0.0.1', {port}), 2).send(b'x')\nprint('ESCAPED')",
    "a datagram": (
        "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {port}))\nprint('ESCAPED')"
    ),
    "a name": "import socket\nprint('ESCAPED', socket.gethostbyname('example.org'))",
    "an abstract socket": "import socket\ns = socket.socket(socket.AF_UNIX)\ns.bind('\\0escaped')\nprint('ESCAPED')",
    "netlink": "import socket\nsocket.socket(16, socket.SOCK_RAW, 0)\nprint('ESCAPED')",
    "a server": "import socket\nsocket.create_server(('', 0))\nprint('ESCAPED')",
    "kill a process outside": "import os\nos.kill({victim}, 9)\nprint('sent')",
    "kill everybody": (
        "import os\nfor pid in range(1, 33000):\n if pid != os.getpid():\n  try: os.kill(pid, 9)\n  except OSError: pass"
    ),
    "kill all at once": "import os\nos.kill(-1, 9)",
    "stop the parent": "import os, signal\nos.kill(os.getppid(), signal.SIGSTOP)\nos.kill(os.getppid(), signal.SIGKILL)",
    "trace the parent": (
        "import ctypes, os\nlibc = ctypes.CDLL(None)\nif libc.ptrace(16, os.getppid(), 0, 0) == 0: print('ESCAPED')"
    ),
    "read the parent's memory": (
        "import ctypes, os\nbuffer = ctypes.create_string_buffer(8)\n"
        "class IO(ctypes.Structure): _fields_ = [('a', ctypes.c_void_p), ('n', ctypes.c_size_t)]\n"
        "here = IO(ctypes.addressof(buffer), 8)\nthere = IO(id(None), 8)\n"
        "if ctypes.CDLL(None).process_vm_readv(os.getppid(), ctypes.byref(here), 1, ctypes.byref(there), 1, 0) > 0:\n"
        " print('ESCAPED')"
    ),
    "memory through proc": "open('/proc/self/mem', 'rb')\nprint('ESCAPED')",
    "the first process's root": "import os\nprint('ESCAPED', os.listdir('/proc/1/root'), open('/proc/1/environ').read())",
    "mount proc": (
        "import ctypes, os\nos.mkdir('p')\nlibc = ctypes.CDLL(None)\n"
        "if libc.mount(b'proc', b'p', b'proc', 0, None) == 0: print('ESCAPED', os.listdir('p'))"
    ),
    "unmount what covers proc": (
        "import ctypes, os\nctypes.CDLL(None).umount2(b'/proc', 2)\nif os.listdir('/proc'): print('ESCAPED')"
    ),
    "a user namespace": "import ctypes\nif ctypes.CDLL(None).unshare(0x10000000) == 0: print('ESCAPED')",
    "a namespace by clone": (
        "import ctypes\nif ctypes.CDLL(None).syscall(56, 0x10000011, 0, 0, 0, 0) >= 0: print('ESCAPED')"
    ),
    "a namespace by clone3": (
        "import ctypes\narguments = (ctypes.c_uint64 * 11)(0x10000000, 0, 0, 0, 17)\n"
        "if ctypes.CDLL(None).syscall(435, arguments, 88) >= 0: print('ESCAPED')"
    ),
    "chroot": "import os\nos.mkdir('r')\nos.chroot('r')\nprint('ESCAPED')",
    "another user": "import os\nos.setuid(0)\nprint('ESCAPED')",
    "a program with rights": (
        "import subprocess\nfor name in ('su', 'mount', 'passwd'):\n"
        " done = subprocess.run(['/usr/bin/' + name, '-c', 'id'], stdin=0, capture_output=True)\n"
        " if b'uid=0' in done.stdout: print('ESCAPED')"
    ),
    "a device": "import os, stat\nos.mknod('disk', stat.S_IFBLK | 0o600, os.makedev(254, 0))\nprint('ESCAPED')",
    "the machine's memory": "open('/dev/mem', 'rb')\nprint('ESCAPED')",
    "the kernel's log": "import ctypes\nif ctypes.CDLL(None).klogctl(10, None, 0) > 0: print('ESCAPED')",
    "io_uring": "import ctypes\nif ctypes.CDLL(None).syscall(425, 8, bytes(120)) >= 0: print('ESCAPED')",
    "bpf": "import ctypes\nif ctypes.CDLL(None).syscall(321, 0, bytes(72), 72) >= 0: print('ESCAPED')",
    "keys of the kernel": "import ctypes\nif ctypes.CDLL(None).syscall(250, 0, -3, 1) >= 0: print('ESCAPED')",
    "userfaultfd": "import ctypes\nif ctypes.CDLL(None).syscall(323, 0) >= 0: print('ESCAPED')",
    "performance counters": (
        "import ctypes\nif ctypes.CDLL(None).syscall(298, bytes([1, 0, 0, 0, 112]) + bytes(107), 0, -1, -1, 0) >= 0: print('ESCAPED')"
    ),
    "a file in memory": "import os\nfd = os.memfd_create('x')\nprint('ESCAPED')",
    "shared memory": "import ctypes\nif ctypes.CDLL(None).shmget(0, 1 << 20, 0o1600) >= 0: print('ESCAPED')",
    "a message queue": "import ctypes\nif ctypes.CDLL(None).msgget(1, 0o1600) >= 0: print('ESCAPED')",
    "32-bit system calls": (
        "import ctypes, mmap\nm = mmap.mmap(-1, 4096, prot=7)\nm.write(b'\\xb8\\x14\\0\\0\\0\\xcd\\x80\\xc3')\n"
        "call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))\n"
        "if call() > 0: print('ESCAPED')"
    ),
    "x32 system calls": "import ctypes\nif ctypes.CDLL(None).syscall(0x40000000 + 39) > 0: print('ESCAPED')",
    "secrets in the environment": "import os\nif '{secret_word}' in str(os.environ): print('ESCAPED')",
    "secrets in memory": (
        "import gc\nif any('porism-' + 'secret-7f3a' in repr(o)[:5000] for o in gc.get_objects() if isinstance(o, dict)): print('ESCAPED')"
    ),
    "what another run wrote": "import os\nif os.listdir('.') or os.listdir('/dev/shm'): print('ESCAPED')\nopen('left', 'w').write('x')",
    "what other runs do": "import os\nif [p for p in os.listdir('/proc') if p.isdigit()]: print('ESCAPED')",
    "every descriptor": (
        "import os\nfor fd in range(3, 256):\n try:\n  data = os.pread(fd, 100, 0)\n except OSError: continue\n"
        " if b'nonce' in data: print('ESCAPED')"
    ),
    "type into the terminal": (
        "import fcntl, os\ntry: fd = os.open('/dev/tty', os.O_RDWR)\nexcept OSError: fd = 0\n"
        "fcntl.ioctl(fd, 0x5412, b'x')\nprint('ESCAPED')"
    ),
    "the clock": "import time\ntime.clock_settime(time.CLOCK_REALTIME, 0)\nprint('ESCAPED')",
    "the host's name": "import socket\nsocket.sethostname('escaped')\nprint('ESCAPED')",
    "higher limits": "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (100, 100))\nprint('ESCAPED')",
}

FLOODS = {
    "a busy loop": ("while True: pass", "cpu"),
    "a busy loop that ignores signals": (
        "import signal\nfor s in (signal.SIGXCPU, signal.SIGTERM, signal.SIGINT): signal.signal(s, signal.SIG_IGN)\nwhile True: pass",
        "cpu",
    ),
    "a long step in C": ("x = 7 ** 10 ** 9", "cpu"),
    "an expression that backtracks": ("import re\nre.match(r'(a+)+$', 'a' * 40 + 'b')", "cpu"),
    "processor time in children": (
        "import os\nfor _ in range(4):\n if os.fork() == 0:\n  while True: pass\nwhile True: os.wait()",
        "cpu",
    ),
    "sleep": ("import time\ntime.sleep(1000)", "wall"),
    "a thread that never ends": (
        "import threading, time\nthreading.Thread(target=lambda: time.sleep(1000)).start()",
        "wall",
    ),
    "an exit that hangs": ("import atexit, time\natexit.register(time.sleep, 1000)", "wall"),
    "stop yourself": ("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", "wall"),
    "memory": ("x = [bytearray(1 << 20) for _ in range(4096)]", "memory"),
    "memory by mmap": ("import mmap\nx = [mmap.mmap(-1, 1 << 26) for _ in range(64)]", ""),
    "memory in children": (
        "import os, time\nfor _ in range(6):\n if os.fork() == 0:\n  x = b'x' * (100 << 20)\n  time.sleep(100)\ntime.sleep(100)",
        "memory",
    ),
    "output": ("while True: print('x' * 4096)", "output"),
    "output of errors": ("import sys\nwhile True: sys.stderr.write('x' * 4096)", "output"),
    "one endless line": ("import os\nwhile True: os.write(1, bytes(65536))", "output"),
    "a fork bomb": ("import os\nwhile True:\n try: os.fork()\n except OSError: pass", "cpu"),
    "a thread bomb": (
        "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(100,), daemon=True).start()",
        "",
    ),
    "a full folder": (
        "for n in range(1000):\n with open(str(n), 'wb') as f: f.write(bytes(1 << 20))",
        "",
    ),
    "a full shared folder": (
        "for n in range(1000):\n with open('/dev/shm/' + str(n), 'wb') as f: f.write(bytes(1 << 20))",
        "",
    ),
    "a large file": ("with open('x', 'wb') as f:\n while True: f.write(bytes(1 << 20))", ""),
    "files without number": ("n = 0\nwhile True:\n open(str(n), 'w').close()\n n += 1", ""),
    "open files": ("x = []\nwhile True: x.append(open('/dev/null'))", ""),
    "recursion": ("def f(): f()\nf()", ""),
    "recursion in C": ("import sys\nsys.setrecursionlimit(10**9)\nx = []\nfor _ in range(10**6): x = [x]\nprint(repr(x))", ""),
    "a crash": ("import ctypes\nctypes.string_at(0)", ""),
    "an abort": ("import os\nos.abort()", ""),
}
"""Name → program, and the limit that stops it; none where it meets an error of its own, or a signal."""

LEFT_BEHIND = {
    "a sleeper": "import os, time\nif os.fork() == 0: time.sleep(300)",
    "a daemon": (
        "import os, time\nif os.fork() == 0:\n os.setsid()\n if os.fork() == 0:\n  for fd in range(3): os.close(fd)\n  time.sleep(300)"
    ),
    "a busy child that holds the output": "import os\nif os.fork() == 0:\n while True: pass",
    "a program from outside Python": "import subprocess\nsubprocess.Popen(['/bin/sleep', '300'])",
    "files": "import os\nopen('left', 'w').write('x')\nopen('/dev/shm/left', 'w').write('x')",
}
"""They end well, and leave something."""

CHEATS = {
    "leave with success": "import os\ndef f(n): os._exit(0)",
    "leave at once": "import os\nos._exit(0)",
    "exit": "def f(n): raise SystemExit(0)",
    "exit at once": "raise SystemExit(0)",
    "interrupt": "def f(n): raise KeyboardInterrupt",
    "equal to everything": "class A:\n def __eq__(self, other): return True\ndef f(n): return A()",
    "an int that is equal to everything": (
        "class A(int):\n def __eq__(self, other): return True\n def __ne__(self, other): return False\n __hash__ = int.__hash__\n"
        "def f(n): return A(0)"
    ),
    "a float that is equal to everything": (
        "class A(float):\n def __eq__(self, other): return True\n __hash__ = float.__hash__\ndef f(n): return A(-1)"
    ),
    "a list that is equal to everything": (
        "class A(list):\n def __eq__(self, other): return True\n __hash__ = None\ndef f(n): return A()"
    ),
    "a false class": "class A:\n __class__ = int\n def __eq__(self, other): return True\ndef f(n): return A()",
    "every operator": (
        "class A:\n def __getattr__(self, name): return lambda *a: True\n def __eq__(self, o): return True\n def __bool__(self): return True\n"
        "def f(n): return A()"
    ),
    "no assertions": (
        "import builtins, sys\nbuiltins.AssertionError = type('A', (Exception,), {})\nsys.flags = None\ndef f(n): return 0"
    ),
    "other built-in functions": (
        "import builtins\nfor name in ('abs', 'len', 'isinstance', 'sorted', 'all'): setattr(builtins, name, lambda *a, **k: True)\n"
        "def f(n): return 0\ndef abs(x): return 0\ndef all(x): return True"
    ),
    "frames": (
        "import sys\ndef f(n):\n frame = sys._getframe()\n while frame:\n  for name, value in list(frame.f_locals.items()) + list(frame.f_globals.items()):\n"
        "   if isinstance(value, dict) and 'tests' in value: return 25 if n == 5 else 4\n   if isinstance(value, list):\n    try: value.append('passed')\n    except Exception: pass\n  frame = frame.f_back\n return 0"
    ),
    "the tests in memory": (
        "import gc\ndef f(n):\n for o in gc.get_objects():\n  for r in gc.get_referents(o):\n   if isinstance(r, str) and r.startswith('assert f('): return eval(r.partition('==')[2])\n return 0"
    ),
    "the tests in files": (
        "import os\ndef f(n):\n for folder, _, names in os.walk('/tmp'):\n  for name in names:\n   if 'assert f(' in open(os.path.join(folder, name)).read(): return n * n\n return 0"
    ),
    "the judge in this process": (
        "import sys\njudge = sys.modules['porism.sandbox.inside.judge']\njudge._asserted = lambda *a: ('passed', '', 1)\n"
        "judge._run = lambda *a: None\ndef f(n): return 0"
    ),
    "another encoding": (
        "import sys\nwire = sys.modules['porism.sandbox.inside.wire']\n"
        "wire.Caller.ask = lambda *a, **k: None\nwire._encoded = lambda *a: ['h', 0]\ndef f(n): return 0"
    ),
    "another comparison": (
        "import sys\nsys.modules['porism.sandbox.inside.compare'].same_value = lambda *a, **k: True\ndef f(n): return 0"
    ),
    "forged replies": (
        "import json, os, struct\nbody = json.dumps({'nonce': '0' * 32, 'value': 4, 'tests': [{'status': 'passed', 'why': '', 'asked': 1}]}).encode()\n"
        "for fd in range(3, 64):\n try: os.write(fd, (struct.pack('!I', len(body)) + body) * 5)\n except OSError: pass\ndef f(n): return 0"
    ),
    "a forged reply to this question": (
        "import json, os, struct, sys\ndef f(n):\n frame = sys._getframe()\n while 'reply' not in frame.f_locals: frame = frame.f_back\n"
        " nonce = frame.f_locals['reply']['nonce']\n body = json.dumps({'nonce': nonce, 'value': ['h', 0], 'status': 'passed'}).encode()\n"
        " for fd in range(3, 64):\n  try: os.write(fd, struct.pack('!I', len(body)) + body)\n  except OSError: pass\n return 0"
    ),
    "noise on the channel": (
        "import os\ndef f(n):\n for fd in range(3, 64):\n  try: os.write(fd, os.urandom(4096))\n  except OSError: pass\n return 0"
    ),
    "a frame without end": (
        "import os\ndef f(n):\n for fd in range(3, 64):\n  try: os.write(fd, b'\\x7f\\xff\\xff\\xff')\n  except OSError: pass\n while True: pass"
    ),
    "a closed channel": "import os\ndef f(n):\n os.closerange(0, 256)\n return 4",
    "two that answer": "import os\ndef f(n):\n os.fork()\n return 0",
    "a pickle": (
        "import os, pickle\nclass A:\n def __reduce__(self): return os._exit, (0,)\n__reduce__ = None\ndef f(n): return pickle.dumps(A())"
    ),
    "an object with a pickle of its own": "class A:\n def __reduce__(self): return eval, ('4',)\ndef f(n): return A()",
    "a huge value": "def f(n): return 'x' * (1 << 28)",
    "many values": "def f(n): return list(range(5_000_000))",
    "a deep value": "def f(n):\n x = []\n for _ in range(100_000): x = [x]\n return x",
    "a value that contains itself": "def f(n):\n x = []\n x.append(x)\n return x",
    "keys that collide": "def f(n): return {k * (2**61 - 1): 0 for k in range(1, 200_000)}",
    "a huge number": "def f(n): return 10 ** 1_000_000",
    "no number": "def f(n): return float('nan')",
    "text with half a character": "def f(n): return '\\ud800' * 10",
    "an endless generator": "def f(n):\n while True: yield n",
    "a value whose text is evil": (
        "class A:\n def __repr__(self): raise SystemExit(0)\n __str__ = __repr__\ndef f(n): return A()"
    ),
    "an exception whose text is evil": (
        "class E(Exception):\n def __str__(self):\n  import os\n  os._exit(0)\ndef f(n): raise E"
    ),
    "an exception with a false name": "class Passed(Exception): pass\nPassed.__name__ = 'passed'\ndef f(n): raise Passed('passed')",
    "a changed argument": "def f(n):\n global n_\n n_ = n\n return None",
    "names of the tests": "candidate = check = tests = space = lambda *a: True\ndef f(n): return 0",
    "a module that answers to every name": "def __getattr__(name): return lambda *a: True\ndef f(n): return 0",
    "tracing": "import sys\nsys.settrace(lambda *a: None)\nsys.setprofile(lambda *a: None)\ndef f(n): return 0",
    "a hook at the end": "import atexit\natexit.register(print, 'passed')\ndef f(n): return 0",
    "says that it passed": "print('passed'); print('ok'); print('{\"status\": \"passed\"}')\ndef f(n): return 'passed'",
    "nothing": "",
    "pass": "def f(n): pass",
    "no such function": "def g(n): return n * n",
    "no function": "f = 4",
    "no Python": "def f(n) return n * n",
    "a stopped process": "import os, signal\ndef f(n): os.kill(os.getpid(), signal.SIGSTOP)",
}
