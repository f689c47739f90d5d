"""The same kind of call in tunnels, tags and fragments, and seen twice."""

import contextlib
import socket
import subprocess
import time

from capture import ENVIRONMENT, STAGE, case, curl
from network import Here, address, cut, hosts, open_vswitch, run, wire

HERE = Here()
NEAR, FAR = "192.0.2.1", "192.0.2.2"
INNER_NEAR, INNER_FAR = "198.51.100.1", "198.51.100.2"


def call(room, host, port=8000):
    """A call with a key in the query, and one that sends a second key in a long body."""
    first, second = room.made.api_key(), room.made.stripe()
    site = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    curl(f"{site}/v1/forecast?city=Ghent" + room.either(f"&api_key={first}", ""))
    body = '{"note": "' + "kettle " * 400 + '", "key": "' + room.either(second, "none") + '"}'
    curl(f"{site}/v1/orders", "-H", "Content-Type: application/json", "-H", "Expect:", "-d", body)
    room.leak("generic-api-key", "request.query", "api_key", first, 200)
    room.leak("stripe-secret-key", "request.body", "key", second, 201)


# What the kernel makes: VXLAN, bridges, fragments.

@contextlib.contextmanager
def overlay(*options, mtu=1500, inner_mtu=1450):
    """Two hosts on a cable, and VXLAN between them."""
    with hosts(1) as [far]:
        wire(HERE, "uplink", far, "uplink", mtu)
        address(HERE, "uplink", f"{NEAR}/24")
        address(far, "uplink", f"{FAR}/24")
        for host, own, peer, inner in ((HERE, NEAR, FAR, INNER_NEAR), (far, FAR, NEAR, INNER_FAR)):
            host.run("ip", "link", "add", "overlay", "type", "vxlan", "id", "4097", "local", own, "remote", peer, *options)
            address(host, "overlay", f"{inner}/24", mtu=inner_mtu)
            host.run("ethtool", "-K", "overlay", "tx", "off", "tso", "off", "gso", "off", "gro", "off")
        try:
            yield far
        finally:
            cut("overlay")
            cut("uplink")


@case("vxlan", "A call through a VXLAN of Linux (port 4789, as AWS and Azure mirror), captured on the cable.", "The same tunnel without keys.")
def vxlan(room):
    with overlay("dstport", "4789") as far, room.gunicorn(host=INNER_FAR, within=far.prefix()):
        with room.capture(0, interface="uplink", filter="udp"):
            call(room, INNER_FAR)


@case("vxlan-old-port", "A VXLAN on the port that Linux takes where none is given (8472).")
def vxlan_old_port(room):
    with overlay() as far, room.gunicorn(host=INNER_FAR, within=far.prefix()):
        with room.capture(0, interface="uplink", filter="udp"):
            call(room, INNER_FAR)


@case("vxlan-and-bare", "tcpdump on all interfaces of a host that is an end of a VXLAN: every packet is there bare and in the tunnel. Each leak is one.")
def vxlan_and_bare(room):
    with overlay("dstport", "4789") as far, room.gunicorn(host=INNER_FAR, within=far.prefix()):
        with room.capture(0, interface="any", filter="udp port 4789 or tcp port 8000"):
            call(room, INNER_FAR)


@case("vxlan-fragmented", "A VXLAN over a cable that is too narrow: the packets of the tunnel are IP fragments.", "The same fragments without keys.")
def vxlan_fragmented(room):
    with overlay("dstport", "4789", mtu=700) as far, room.gunicorn(host=INNER_FAR, within=far.prefix()):
        with room.capture(0, interface="uplink", filter="ip proto 17"):
            call(room, INNER_FAR)


@contextlib.contextmanager
def bridged():
    """A host on each port of a bridge, which is here."""
    with hosts(2) as [near, far]:
        run("ip", "link", "add", "bridge", "type", "bridge")
        for port, host, own in (("port1", near, INNER_NEAR), ("port2", far, INNER_FAR)):
            wire(HERE, port, host, "uplink")
            run("ip", "link", "set", port, "master", "bridge")
            address(host, "uplink", f"{own}/24")
        run("ip", "link", "set", "bridge", "up")
        try:
            yield near, far
        finally:
            for link in ("port1", "port2", "bridge"):
                cut(link)


@case("bridge-both-sides", "tcpdump on all interfaces of a bridge: every packet is there once for each port. Each leak is one.")
def bridge_both_sides(room):
    with bridged() as (near, far):
        from_near = near.prefix()
        with distant(room, far), room.capture(0, interface="any", filter="tcp port 8000"):
            call_from(room, from_near)


@contextlib.contextmanager
def distant(room, far, host=INNER_FAR):
    """gunicorn on a host that cannot be reached from here: it is waited for in its own namespace."""
    with room.gunicorn():
        pass  # installs the service and its settings
    log = (STAGE / "server.log").open("ab")
    server = subprocess.Popen([*far.prefix(), "gunicorn", "--bind", f"{host}:8000", "--no-control-socket", "service:app"],
                              cwd=STAGE, env=ENVIRONMENT, stdout=log, stderr=log)
    try:
        for _ in range(100):
            listening = subprocess.run([*far.prefix(), "ss", "-Hltn", "sport", "=", "8000"], capture_output=True, text=True).stdout
            if listening.strip():
                break
            time.sleep(0.05)
        else:
            raise RuntimeError((STAGE / "server.log").read_text()[-3000:])
        yield
    finally:
        server.terminate()
        server.wait(10)


def call_from(room, prefix, host=INNER_FAR):
    """As `call`, from another namespace."""
    first, second = room.made.api_key(), room.made.stripe()
    site = f"http://{host}:8000"
    body = '{"note": "' + "kettle " * 400 + '", "key": "' + room.either(second, "none") + '"}'
    for arguments in ([f"{site}/v1/forecast?city=Ghent" + room.either(f"&api_key={first}", "")],
                      [f"{site}/v1/orders", "-H", "Content-Type: application/json", "-H", "Expect:", "-d", body]):
        subprocess.run([*prefix, "curl", "--silent", "--show-error", *arguments], env=ENVIRONMENT, check=True, capture_output=True, timeout=20)
    room.leak("generic-api-key", "request.query", "api_key", first, 200)
    room.leak("stripe-secret-key", "request.body", "key", second, 201)


@contextlib.contextmanager
def narrow(mtu, tunnel=False):
    """This host, two routers with a narrow link between them, and a server; nobody forbids fragments."""
    with hosts(3) as [first, second, server]:
        wire(HERE, "uplink", first, "client")
        wire(first, "middle", second, "middle")
        wire(second, "server", server, "uplink")
        address(HERE, "uplink", "192.0.2.1/28")
        address(first, "client", "192.0.2.2/28")
        link = "middle"
        if tunnel:
            address(first, "middle", "203.0.113.1/24")
            address(second, "middle", "203.0.113.2/24")
            for host, peer in ((first, "203.0.113.2"), (second, "203.0.113.1")):
                host.run("ip", "link", "add", "overlay", "type", "vxlan", "id", "7", "dev", "middle", "remote", peer, "dstport", "4789")
                host.run("ethtool", "-K", "overlay", "tx", "off", "tso", "off", "gso", "off", "gro", "off")
            link = "overlay"
        address(first, link, "192.0.2.17/28", mtu=mtu)
        address(second, link, "192.0.2.18/28", mtu=mtu)
        address(second, "server", "192.0.2.33/28")
        address(server, "uplink", "192.0.2.34/28")
        for router in (first, second):
            router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        for end in (HERE, server):
            end.run("sysctl", "-qw", "net.ipv4.ip_no_pmtu_disc=1")
        run("ip", "route", "add", "192.0.2.32/28", "via", "192.0.2.2")
        first.run("ip", "route", "add", "192.0.2.32/28", "via", "192.0.2.18")
        second.run("ip", "route", "add", "192.0.2.0/28", "via", "192.0.2.17")
        server.run("ip", "route", "add", "192.0.2.0/28", "via", "192.0.2.33")
        try:
            yield first, server
        finally:
            run("sysctl", "-qw", "net.ipv4.ip_no_pmtu_disc=0")
            cut("uplink")


@case("ip-fragments", "A router has to send through a link of 600 bytes: segments of full size become IP fragments, the ports are in the first alone.", "The same fragments without keys.")
def ip_fragments(room):
    with narrow(600) as (router, server), room.gunicorn(host="192.0.2.34", within=server.prefix()):
        with room.capture(0, interface="middle", filter="ip", within=router.prefix()):
            call(room, "192.0.2.34")


@case("ip-fragments-in-vxlan", "The narrow link between the routers is a VXLAN: fragments within a tunnel.")
def ip_fragments_in_vxlan(room):
    with narrow(600, tunnel=True) as (router, server), room.gunicorn(host="192.0.2.34", within=server.prefix()):
        with room.capture(0, interface="middle", filter="ip", within=router.prefix()):
            call(room, "192.0.2.34")


@case("ip-fragment-missing", "One fragment of the long body was not captured: the call before is seen, the loss is told.")
def ip_fragment_missing(room):
    first = room.made.api_key()
    with narrow(600) as (router, server), room.gunicorn(host="192.0.2.34", within=server.prefix()):
        # All but the fragments in the middle of a datagram: those with an offset that are not the last.
        with room.capture(0, interface="middle", filter="ip and not (ip[6:2] & 0x1fff != 0 and ip[6:2] & 0x2000 != 0)", within=router.prefix()):
            curl(f"http://192.0.2.34:8000/v1/forecast?city=Ghent&api_key={first}")
            curl("http://192.0.2.34:8000/v1/orders", "-H", "Content-Type: application/json", "-H", "Expect:", "-d", '{"note": "' + "kettle " * 400 + '"}')
    room.leak("generic-api-key", "request.query", "api_key", first, 200)


@case("ipv6-fragments", "A record of 4 KB in one UDP datagram over IPv6: the sender makes the fragments. A GitHub token is behind the first of them.", "The same record without a token.")
def ipv6_fragments(room):
    token = room.made.github()
    with hosts(1) as [far]:
        wire(HERE, "uplink", far, "uplink")
        address(HERE, "uplink", "2001:db8::1/64")
        address(far, "uplink", "2001:db8::2/64")
        record = "<13>1 2026-11-22T05:22:00Z till shop - - - " + "kettle " * 500 + f"token={room.either(token, 'none')} accepted\n"
        try:
            with room.capture(0, interface="uplink", filter="ip6 proto 17 or ip6 proto 44"):
                with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
                    for _ in range(2):
                        sender.sendto(record.encode(), ("2001:db8::2", 514))
                        time.sleep(0.1)
        finally:
            cut("uplink")
    room.leak("github-pat", "request.body", None, token, None)


# What Open vSwitch makes: mirrors through tunnels, tags, labels.

@contextlib.contextmanager
def switched(room, mirrors=0, tunnel=(), flows=()):
    """A client (here) and a server on a switch; its mirrors send all of it through a tunnel to a collector."""
    with hosts(2) as [far, collector], open_vswitch() as vsctl:
        try:
            vsctl("add-br", "switch", "--", "set", "bridge", "switch", "datapath_type=netdev", "protocols=OpenFlow10,OpenFlow13")
            wire(HERE, "port1", HERE, "uplink")
            wire(HERE, "port2", far, "uplink")
            address(HERE, "uplink", f"{INNER_NEAR}/24")
            address(far, "uplink", f"{INNER_FAR}/24")
            for port in ("port1", "port2"):
                vsctl("add-port", "switch", port)
            wire(HERE, "port3", collector, "uplink", mtu=2000)
            if tunnel:
                vsctl("add-br", "outside", "--", "set", "bridge", "outside", "datapath_type=netdev")
                vsctl("add-port", "outside", "port3")
                address(HERE, "outside", f"{NEAR}/24", mtu=2000)
                address(collector, "uplink", f"{FAR}/24")
                # The switch wants to know where the collector is before it sends.
                mac = "02:00:00:00:00:99"
                collector.run("ip", "link", "set", "uplink", "address", mac)
                vsctl.control("tnl/arp/set", "outside", FAR, mac)
                for number in range(max(mirrors, 1)):
                    # Mirrors that end in one port would send each frame once.
                    name = f"tunnel{number}" if number else "tunnel"
                    vsctl("add-port", "switch", name, "--", "set", "interface", name, f"type={tunnel[0]}", f"options:remote_ip={FAR}", f"options:key={77 + number}", *tunnel[1:])
                    if mirrors:
                        vsctl("--", "--id=@out", "get", "port", name, "--", "--id=@mirror", "create", "mirror", f"name={name}", "select-all=true", "output-port=@out",
                              "--", "add", "bridge", "switch", "mirrors", "@mirror")
                    # Nothing else uses it.
                    vsctl.openflow("add-flow", "switch", f"priority=9,in_port={name},actions=drop")
                    vsctl.openflow("mod-port", "switch", name, "no-flood")
            else:
                vsctl("add-port", "switch", "port3")
            for flow in flows:
                vsctl.openflow("add-flow", "switch", flow)
            yield far, collector
        finally:
            for link in ("uplink", "port2", "port3", "switch", "outside"):
                cut(link)


def mirrored(name, why, tunnel, times=1, clean=None):
    @case(name, why, clean)
    def make(room):
        with switched(room, times, tunnel) as (far, collector), room.gunicorn(host=INNER_FAR, within=far.prefix()):
            with room.capture(0, interface="uplink", filter=f"src {NEAR}", within=collector.prefix()):
                call(room, INNER_FAR)
                time.sleep(0.3)


mirrored("gre", "A mirror of Open vSwitch through GRE: Ethernet frames (TEB) with a key.", ["gre"], clean="The same mirror without keys.")
mirrored("geneve", "A mirror through Geneve (as AWS's gateway load balancer and GCP's out-of-band inspection have it).", ["geneve"], clean="The same mirror without keys.")
mirrored("erspan-ii", "A mirror through ERSPAN type II.", ["erspan", "options:erspan_ver=1", "options:erspan_idx=3"], clean="The same mirror without keys.")
mirrored("erspan-iii", "A mirror through ERSPAN type III.", ["erspan", "options:erspan_ver=2", "options:erspan_dir=1", "options:erspan_hwid=4"])
mirrored("vxlan-mirror", "A mirror of Open vSwitch through VXLAN.", ["vxlan"])

@case("gtp-u", "Open vSwitch sends the packets of two hosts through GTP-U, as between a base station and a core.")
def gtp_u(room):
    # A mirror through GTP-U ends Open vSwitch 3.1: flows it is.
    flows = ["priority=8,in_port=port1,ip,actions=output:port2,output:tunnel", "priority=8,in_port=port2,ip,actions=output:port1,output:tunnel"]
    with switched(room, 0, ["gtpu", "options:packet_type=legacy_l3"], flows) as (far, collector):
        with room.gunicorn(host=INNER_FAR, within=far.prefix()), room.capture(0, interface="uplink", filter=f"src {NEAR}", within=collector.prefix()):
            call(room, INNER_FAR)
            time.sleep(0.3)



@case("span-doubled", "Two mirrors of one switch send every frame twice, through VXLAN, to one collector. Each leak is one.")
def span_doubled(room):
    with switched(room, 2, ["vxlan"]) as (far, collector), room.gunicorn(host=INNER_FAR, within=far.prefix()):
        with room.capture(0, interface="uplink", filter=f"src {NEAR}", within=collector.prefix()):
            call(room, INNER_FAR)
            time.sleep(0.3)


def tagged(name, why, actions, filter):
    """What is captured goes out of a third port with these actions done to it."""
    @case(name, why)
    def make(room):
        flows = [f"priority=5,in_port=port1,ip,actions=output:port2,{actions},output:port3",
                 f"priority=5,in_port=port2,ip,actions=output:port1,{actions},output:port3"]
        with switched(room, flows=flows) as (far, collector), room.gunicorn(host=INNER_FAR, within=far.prefix()):
            with room.capture(0, interface="uplink", filter=filter, within=collector.prefix()):
                call(room, INNER_FAR)
                time.sleep(0.3)


tagged("mpls", "Packets with two MPLS labels, pushed by Open vSwitch.",
       "push_mpls:0x8847,set_field:16->mpls_label,push_mpls:0x8847,set_field:17->mpls_label", "ether proto 0x8847")
tagged("qinq", "Frames in a VLAN in a provider's VLAN (802.1ad), tagged by Open vSwitch.",
       "push_vlan:0x8100,set_field:4103->vlan_vid,push_vlan:0x88a8,set_field:4196->vlan_vid", "vlan")


# What socat makes: IP in IP.

def raw_tunnel(name, why, protocol, near, far_address):
    """socat between a tun interface and a raw socket of a protocol of IP, at both ends."""
    @case(name, why)
    def make(room):
        with hosts(1) as [far]:
            wire(HERE, "uplink", far, "uplink")
            address(HERE, "uplink", f"{NEAR}/24")
            address(far, "uplink", f"{FAR}/24")
            ends = [subprocess.Popen([*host.prefix(), "socat", "TUN,tun-name=inner,iff-no-pi", f"IP4-DATAGRAM:{peer}:{protocol}"])
                    for host, peer in ((HERE, FAR), (far, NEAR))]
            try:
                time.sleep(0.5)
                for host, own in ((HERE, near), (far, far_address)):
                    address(host, "inner", own, mtu=1400)
                server = far_address.split("/")[0]
                with room.gunicorn(host=server, within=far.prefix()), room.capture(0, interface="uplink", filter=f"ip proto {protocol}"):
                    call(room, server)
            finally:
                for end in ends:
                    end.terminate()
                    end.wait(5)
                cut("uplink")


raw_tunnel("ipip", "IPv4 in IPv4 (protocol 4), between two tun interfaces by socat.", 4, "198.51.100.1/24", "198.51.100.2/24")
raw_tunnel("6in4", "IPv6 in IPv4 (protocol 41), between two tun interfaces by socat.", 41, "2001:db8:1::1/64", "2001:db8:1::2/64")
