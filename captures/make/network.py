"""Hosts and links of a case's own: network namespaces, what connects them, and Open vSwitch in user space."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import time

from capture import ENVIRONMENT, STAGE


class Host:
    """A network namespace, kept by a process that sleeps in it."""

    def __init__(self):
        self.keeper = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep infinity"], stdout=subprocess.PIPE)
        self.keeper.stdout.readline()
        self.run("ip", "link", "set", "lo", "up")

    def prefix(self):
        return ["nsenter", "-t", str(self.keeper.pid), "-n"]

    def run(self, *command):
        run(*self.prefix(), *command)

    def close(self):
        self.keeper.kill()
        self.keeper.wait()


class Here:
    """The namespace of this process, as a host."""

    @staticmethod
    def prefix():
        return []

    @staticmethod
    def run(*command):
        run(*command)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")


@contextlib.contextmanager
def hosts(count):
    made = [Host() for _ in range(count)]
    try:
        yield made
    finally:
        for host in made:
            host.close()


def address(host, interface, *addresses, mtu=None):
    """Gives an interface addresses and brings it up; frames are as on a wire, not as a network card would cut them."""
    for one in addresses:
        host.run("ip", "address", "add", one, "dev", interface, *(["nodad"] if ":" in one else []))
    host.run("ip", "link", "set", interface, *(["mtu", str(mtu)] if mtu else []), "up")


def wire(one, name, other, other_name, mtu=1500):
    """A cable between two hosts."""
    run("ip", "link", "add", "wire0", "type", "veth", "peer", "name", "wire1")
    for host, end, called in ((one, "wire0", name), (other, "wire1", other_name)):
        if isinstance(host, Host):
            run("ip", "link", "set", end, "netns", str(host.keeper.pid))
        host.run("ip", "link", "set", end, "name", called, "gso_max_segs", "1", "mtu", str(mtu), "up")
        host.run("ethtool", "-K", called, "tx", "off", "rx", "off", "tso", "off", "gso", "off", "gro", "off")


def cut(name):
    with contextlib.suppress(RuntimeError):
        run("ip", "link", "delete", name)


@contextlib.contextmanager
def open_vswitch():
    """Open vSwitch with its datapath in user space, in this namespace; gives a function that runs ovs-vsctl."""
    folder = STAGE / "switch"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    environment = ENVIRONMENT | {"OVS_RUNDIR": str(folder), "OVS_LOGDIR": str(folder), "OVS_DBDIR": str(folder)}
    database = f"unix:{folder}/db.sock"

    def ovs(*command):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20)
        if done.returncode:
            raise RuntimeError(f"{command}: {done.stderr}")
        return done.stdout

    try:
        ovs("ovsdb-tool", "create", f"{folder}/conf.db", "/usr/share/openvswitch/vswitch.ovsschema")
        ovs("ovsdb-server", f"{folder}/conf.db", f"--remote=p{database}", f"--pidfile={folder}/ovsdb-server.pid", "--detach", f"--log-file={folder}/db.log")
        ovs("ovs-vsctl", f"--db={database}", "--no-wait", "init")
        ovs("ovs-vswitchd", database, f"--pidfile={folder}/ovs-vswitchd.pid", "--detach", f"--log-file={folder}/switch.log", "--disable-system")

        def vsctl(*command):
            return ovs("ovs-vsctl", f"--db={database}", *command)

        vsctl.openflow = lambda *command: ovs("ovs-ofctl", "-OOpenFlow13", *command)
        vsctl.control = lambda *command: ovs("ovs-appctl", *command)
        yield vsctl
    finally:
        for daemon in ("ovs-vswitchd", "ovsdb-server"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                pid = int(pathlib.Path(folder, f"{daemon}.pid").read_text())
                os.kill(pid, signal.SIGTERM)
                for _ in range(100):
                    os.kill(pid, 0)
                    time.sleep(0.05)
