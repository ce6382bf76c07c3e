#!/usr/bin/env python3
"""Runs nova-manage many times without importing nova many times.

`sexton prove` runs an archive engine once for each fault, hundreds of times. A run of nova-manage
spends most of its time importing nova, so this adapter imports it once and then forks for each
run. The parent only imports: it parses no configuration and opens no connection, so every child
begins where a fresh nova-manage stands after its imports.

Run it with the Python that nova is installed for:

    /path/to/venv/bin/python nova_warm.py

The protocol on its standard input and output is in docs/prove-engines.md. Linux only. Tried with nova
21.0.0 and 34.0.0 on Python 3.11.
"""

import os
import sys

# Read by nova when it is imported. Without eventlet's patches there is no hub whose file descriptors
# a fork would share, and no traceback of greenlet at the end of 21.0.0.
os.environ.setdefault("OS_NOVA_DISABLE_EVENTLET_PATCHING", "1")

# nova walks sets of foreign keys, and their order follows from where objects lie in memory, which
# follows from the seed: of six seeds, four gave one order of statements and two another. With a
# fixed seed all runs of all adapters agree. It is one that a real run could have drawn.
if "PYTHONHASHSEED" not in os.environ:
    os.environ["PYTHONHASHSEED"] = "0"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])

# PyMySQL loads the system's certificates for each connection, 16 ms each, and then checks nothing
# against them: without `ssl_ca` in its URL it does not verify, and the harness offers no TLS.
os.environ["SSL_CERT_FILE"] = os.environ["SSL_CERT_DIR"] = os.devnull

# Only protocol lines may be on the standard output, whatever an import prints.
PROTOCOL_IN = os.dup(0)
PROTOCOL_OUT = os.dup(1)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.dup2(2, 1)

import ctypes
import gc
import importlib
import importlib.metadata
import json
import logging
import select
import signal
import tempfile
import threading
import traceback

# How much of a run's standard error is reported: the end, where the error is.
STDERR_LIMIT = 4000

# Modules that nova-manage imports only when it runs. One that a release does not have is skipped.
PRELOAD = (
    "_strptime",
    "oslo_messaging._drivers.impl_fake",
    "oslo_messaging._drivers.impl_rabbit",
    "oslo_messaging.notify._impl_noop",
    "psycopg2.extras",
    "pymysql.cursors",
    "sqlalchemy.dialects.mysql.pymysql",
    "sqlalchemy.dialects.postgresql.psycopg2",
    "wcwidth",
)

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def preload():
    """Imports all that an archive run will need, and returns the function main of nova-manage."""
    manage = importlib.import_module("nova.cmd.manage")
    # Nothing but imports, though it is a function.
    manage.objects.register_all()
    for name in PRELOAD:
        try:
            importlib.import_module(name)
        except ImportError:
            pass
    # Otherwise done by the first query of each run; it reads the models and nothing else.
    importlib.import_module("sqlalchemy.orm").configure_mappers()
    # A collection in the child would touch, and so copy, every page of what was imported.
    gc.collect()
    gc.freeze()
    return manage.main


def send(message):
    data = json.dumps(message).encode() + b"\n"
    while data:
        data = data[os.write(PROTOCOL_OUT, data) :]


def requests():
    """The harness's requests, one a line, until it closes the pipe."""
    buffer = b""
    while chunk := os.read(PROTOCOL_IN, 65536):
        *lines, buffer = (buffer + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield json.loads(line)


def child(main, arguments, parent, stdout, stderr):
    """What the script nova-manage does, up to the end of the process."""
    os.setpgid(0, 0)
    # A run must not outlive an adapter that was killed.
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    os.dup2(stdout.fileno(), 1)
    os.dup2(stderr.fileno(), 2)
    os.close(PROTOCOL_IN)
    os.close(PROTOCOL_OUT)
    # The harness may have been started with signals ignored; the run is to feel them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    script = os.path.join(os.path.dirname(sys.executable), "nova-manage")
    sys.argv = [script, *arguments]
    interrupted = False
    try:
        code = main()
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        traceback.print_exc()
        code, interrupted = 1, True
    except BaseException:
        traceback.print_exc()
        code = 1
    if code is None:
        code = 0
    elif not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    if interrupted:
        # Python ends so too: by the signal, so that a shell sees it.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    # Not sys.exit: it would unwind the parent's loop in the child.
    os._exit(code & 0xFF)


def run(main, arguments):
    """Runs nova-manage in a child and reports; returns the child, ended but not yet reaped."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        parent = os.getpid()
        # What is still in the buffers would be written by the child as well.
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            try:
                child(main, arguments, parent, stdout, stderr)
            finally:
                os._exit(1)
        try:
            # In the parent too: the harness may signal the group as soon as it knows the pid.
            os.setpgid(pid, pid)
        except OSError:
            pass
        send({"pid": pid})
        await_end(pid)
        # The zombie keeps its pid until the next request, so that a signal which the harness sends
        # a moment too late meets no other process.
        end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        exited = end.si_code == os.CLD_EXITED
        stderr.seek(0)
        stdout.seek(0)
        send(
            {
                "exit": end.si_status if exited else None,
                "signal": None if exited else end.si_status,
                "stdout": stdout.read().decode(errors="replace"),
                "stderr": stderr.read().decode(errors="replace")[-STDERR_LIMIT:],
            }
        )
    return pid


def await_end(pid):
    """Waits for the child; ends it, and with it the adapter, if the harness goes away."""
    descriptor = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    # No events but the end of the pipe: a request may already wait in it.
    poll.register(PROTOCOL_IN, 0)
    events = dict(poll.poll())
    os.close(descriptor)
    if descriptor not in events:
        reap(pid)
        sys.exit("nova_warm.py: the harness went away during a run")


def reap(pid):
    """Ends what the run left behind, if anything, then lets go of its pid."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    os.waitpid(pid, 0)


def main():
    nova_manage = preload()
    if threading.active_count() != 1:
        # Only the forking thread goes on in a child; locks that others hold stay held for ever.
        sys.exit(f"nova_warm.py: importing nova started threads: {threading.enumerate()}")
    send({"ready": 1, "engine": "nova-manage " + importlib.metadata.version("nova")})
    ended = None
    for request in requests():
        if ended:
            reap(ended)
        ended = run(nova_manage, request["run"])
    if ended:
        reap(ended)


if __name__ == "__main__":
    main()
