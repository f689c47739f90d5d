/* Whose TCP connections are: noted where a process connects, listens, sends or receives, told once each is established. */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

/* A socket that processes hand to and fro is told no more often. */
#define TOLD_MOST 16

struct owner {
	__u32 pid;
	__u32 uid;
	__u32 told;
	/* Of the socket that listens: who takes the connection is not known yet. */
	__u32 listens;
	char comm[16];
};

/* As src/process/ebpf/mod.rs reads it. */
struct event {
	__u8 local[16];
	__u8 remote[16];
	__u16 local_port;
	__u16 remote_port;
	__u16 family;
	__u16 listens;
	__u32 pid;
	__u32 uid;
	__u32 namespace;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct owner);
} owners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} events SEC(".maps");

static __always_inline void tell(struct sock *sk, struct owner *owner)
{
	struct event *event;
	__u16 family = sk->__sk_common.skc_family;

	if (owner->told >= TOLD_MOST)
		return;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return;
	__builtin_memset(event, 0, sizeof(*event));
	event->family = family;
	event->local_port = sk->__sk_common.skc_num;
	event->remote_port = __builtin_bswap16(sk->__sk_common.skc_dport);
	if (family == AF_INET) {
		__be32 local = sk->__sk_common.skc_rcv_saddr, remote = sk->__sk_common.skc_daddr;

		__builtin_memcpy(event->local, &local, 4);
		__builtin_memcpy(event->remote, &remote, 4);
	} else {
		BPF_CORE_READ_INTO(&event->local, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
		BPF_CORE_READ_INTO(&event->remote, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr8);
	}
	event->listens = owner->listens;
	event->pid = owner->pid;
	event->uid = owner->uid;
	event->namespace = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	__builtin_memcpy(event->comm, owner->comm, 16);
	owner->told++;
	bpf_ringbuf_submit(event, 0);
}

static __always_inline int is_tcp(struct sock *sk)
{
	__u16 family = sk->__sk_common.skc_family;

	return sk->sk_protocol == IPPROTO_TCP && (family == AF_INET || family == AF_INET6);
}

static __always_inline void name(struct owner *owner, __u32 listens)
{
	owner->pid = bpf_get_current_pid_tgid() >> 32;
	owner->uid = bpf_get_current_uid_gid();
	owner->listens = listens;
	/* The name of the process, not that of its thread. */
	BPF_CORE_READ_INTO(&owner->comm, (struct task_struct *)bpf_get_current_task(), group_leader, comm);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state, struct sock *sk, int before, int now)
{
	struct owner *owner;

	if (!is_tcp(sk))
		return 0;
	if (now == TCP_SYN_SENT || now == TCP_LISTEN) {
		/* In the process that connects or listens. The port of one that connects is not chosen yet. */
		owner = bpf_sk_storage_get(&owners, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
		if (owner) {
			name(owner, now == TCP_LISTEN);
			owner->told = 0;
		}
	} else if (now == TCP_ESTABLISHED) {
		/* In whatever runs at the time; a connection that came in has the owner of its listener. */
		owner = bpf_sk_storage_get(&owners, sk, 0, 0);
		if (owner)
			tell(sk, owner);
	}
	return 0;
}

static __always_inline int used(struct sock *sk)
{
	struct owner *owner;

	if (!is_tcp(sk) || sk->__sk_common.skc_state == TCP_LISTEN)
		return 0;
	owner = bpf_sk_storage_get(&owners, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (owner && (owner->listens || owner->pid != bpf_get_current_pid_tgid() >> 32)) {
		name(owner, 0);
		tell(sk, owner);
	}
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(sent, struct sock *sk, int ret, int flags)
{
	return used(sk);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(received, struct sock *sk, int ret, int flags)
{
	return used(sk);
}

/* What is there already, once at the start. */
SEC("iter/task_file")
int existing(struct bpf_iter__task_file *context)
{
	struct task_struct *task = context->task;
	struct file *file = context->file;
	struct socket *socket;
	struct owner *owner;
	struct sock *sk;

	if (!task || !file)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket || !socket->sk)
		return 0;
	sk = socket->sk;
	if (!is_tcp(sk))
		return 0;
	owner = bpf_sk_storage_get(&owners, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	/* Of several processes the first: a child has what its parent opened. */
	if (!owner || owner->pid)
		return 0;
	owner->pid = task->tgid;
	owner->uid = task->cred->euid.val;
	owner->listens = sk->__sk_common.skc_state == TCP_LISTEN;
	BPF_CORE_READ_INTO(&owner->comm, task, group_leader, comm);
	if (sk->__sk_common.skc_state == TCP_ESTABLISHED)
		tell(sk, owner);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
