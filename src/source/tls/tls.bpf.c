/* Clear text where programs hand it to a library for TLS or take it from there. Each call is noted where it begins and told where
 * it returns; meanwhile the same thread sends or receives on a socket, which tells the connection. */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

/* Bytes of one record at most, and records of one call. What a call has more is told as missing. */
#define PIECE 16384
#define PIECES 64
/* A thread that received and then asks its library, within so many nanoseconds, asks for what it received. */
#define FRESH 5000000
/* The reader is woken where so many bytes wait; else it looks by itself. */
#define FULL (1 << 20)
/* Bytes that a connection of rustls takes at most, and buffers of one call. */
#define CONNECTION 4096
#define VECTORS 16

/* As src/source/tls/kernel.rs reads them. */
enum what { DATA, END, EXIT, EXEC };
/* Which function it is, by the cookie of its probe: as src/source/tls/library.rs has them. */
enum function {
	HANDING = 1,
	TAKING,
	HANDING_EX,
	TAKING_EX,
	SHAKING,
	FREEING,
	NSS_HANDING,
	NSS_TAKING,
	NSS_RECEIVING,
	NSS_IMPORTED,
	GO_HANDING,
	GO_TAKING,
	GO_TAKEN,
	GO_CLOSING,
	RUSTLS_HANDING,
	RUSTLS_HANDING_ALL,
	RUSTLS_WRITER_HANDING,
	RUSTLS_WRITER_HANDING_ALL,
	RUSTLS_TAKING,
	RUSTLS_FREEING,
	RUSTLS_BEGINNING,
};
/* Where a library is given what was received: it may be asked to send first, which says less than that it is asked for clear text. */
enum sure { UNKNOWN, GUESSED_SENDING, GUESSED, CERTAIN };
enum direction { SENT, RECEIVED, HANDSHAKE };
/* What a session of rustls is known by: its whole, which takes what is sent, or the part where what was received lies. */
enum half { NEITHER, WHOLE, PART, BOTH };

struct ends {
	__u8 local[16];
	__u8 remote[16];
	__u16 local_port;
	__u16 remote_port;
	__u16 family;
	__u16 unused;
	__u32 namespace;
};

struct head {
	__u64 time;
	__u64 session;
	/* Another connection of the same session was born at another time. */
	__u64 born;
	/* Bytes before these that nobody saw. */
	__u64 missing;
	__u32 pid;
	__u32 uid;
	__u32 length;
	__u8 what;
	__u8 direction;
	__u16 unused;
	struct ends ends;
	char comm[16];
	__u32 unused2;
};

struct call {
	__u64 session;
	__u64 buffer;
	/* Where the length stands when it returns; 0: it is what it returns. */
	__u64 got;
	__u32 direction;
	/* Calls of the same within it. */
	__u32 depth;
	/* The buffer is a list of so many (`struct iovec`); 0: it is one. */
	__u64 vectors;
};

struct session_key {
	__u64 session;
	__u64 pid;
};

struct session {
	__u64 born;
	__u64 missing[2];
	struct ends ends;
	/* How well the ends are known: enum sure. */
	__u32 sure;
	/* enum half, of rustls. */
	__u32 half;
};

struct received {
	__u64 time;
	struct ends ends;
};

struct handed {
	__u64 time;
	__u64 session;
};

struct goroutine {
	__u64 g;
	__u64 pid;
};

struct counts {
	__u64 calls;
	__u64 bytes;
	__u64 lost_records;
	__u64 lost_bytes;
};

const volatile __u32 own = 0;
/* Only programs of this network namespace, where it is not 0. */
const volatile __u32 only_namespace = 0;

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct call);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct goroutine);
	__type(value, struct call);
} goroutines SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct session_key);
	__type(value, struct session);
} sessions SEC(".maps");

/* Of rustls, by what else a session is known. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct session_key);
	__type(value, __u64);
} halves SEC(".maps");

/* What threads handed to rustls last, which sends nothing by itself. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct handed);
} handed SEC(".maps");

/* Processes of which something was told or asked. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, __u32);
} known SEC(".maps");

/* What threads of those received last. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct received);
} recent SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 32 << 20);
} pieces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counts);
} counted SEC(".maps");

static __always_inline int is_wanted(void)
{
	struct task_struct *task;

	if (bpf_get_current_pid_tgid() >> 32 == own)
		return 0;
	if (!only_namespace)
		return 1;
	task = (struct task_struct *)bpf_get_current_task();
	return BPF_CORE_READ(task, nsproxy, net_ns, ns.inum) == only_namespace;
}

static __always_inline void fill_ends(struct ends *ends, struct sock *sk)
{
	__builtin_memset(ends, 0, sizeof(*ends));
	ends->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	ends->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	ends->remote_port = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
	ends->namespace = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	if (ends->family == AF_INET) {
		BPF_CORE_READ_INTO((__be32 *)ends->local, sk, __sk_common.skc_rcv_saddr);
		BPF_CORE_READ_INTO((__be32 *)ends->remote, sk, __sk_common.skc_daddr);
	} else {
		BPF_CORE_READ_INTO(&ends->local, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
		BPF_CORE_READ_INTO(&ends->remote, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr8);
	}
}

static __always_inline int is_tcp(struct sock *sk)
{
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	return BPF_CORE_READ(sk, sk_protocol) == IPPROTO_TCP && (family == AF_INET || family == AF_INET6);
}

static __always_inline struct session *session_of(__u64 session, int make)
{
	struct session_key key = { .session = session, .pid = bpf_get_current_pid_tgid() >> 32 };
	struct session *found = bpf_map_lookup_elem(&sessions, &key);
	struct session new = {};

	if (found || !make)
		return found;
	new.born = bpf_ktime_get_ns();
	bpf_map_update_elem(&sessions, &key, &new, BPF_ANY);
	return bpf_map_lookup_elem(&sessions, &key);
}

/* The session talks on this connection. */
static __always_inline void bind(struct session *session, struct ends *ends, __u32 sure)
{
	int same = session->ends.family == ends->family && session->ends.local_port == ends->local_port &&
		   session->ends.remote_port == ends->remote_port &&
		   *(__u64 *)session->ends.remote == *(__u64 *)ends->remote &&
		   *(__u64 *)(session->ends.remote + 8) == *(__u64 *)(ends->remote + 8);

	if (!same) {
		/* A session that is used again. */
		if (session->sure == CERTAIN)
			session->born = bpf_ktime_get_ns();
		__builtin_memcpy(&session->ends, ends, sizeof(*ends));
	}
	/* What was guessed twice is so. */
	session->sure = same && session->sure == GUESSED && sure == GUESSED ? CERTAIN : sure;
}

static __always_inline void fill(struct head *head, __u64 id, struct session *session, __u32 what, __u32 direction)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	__builtin_memset(head, 0, sizeof(*head));
	head->time = bpf_ktime_get_ns();
	head->session = id;
	head->pid = bpf_get_current_pid_tgid() >> 32;
	head->uid = bpf_get_current_uid_gid();
	head->what = what;
	head->direction = direction;
	BPF_CORE_READ_INTO(&head->comm, task, group_leader, comm);
	if (session) {
		head->born = session->born;
		if (session->sure)
			__builtin_memcpy(&head->ends, &session->ends, sizeof(head->ends));
	}
}

struct told {
	__u64 id;
	__u64 buffer;
	__u64 length;
	__u64 wakes;
	struct session *session;
	__u32 direction;
};

/* A record that has room for no more than it needs. */
#define TELL(SIZE)												\
	({													\
		struct {											\
			struct head head;									\
			__u8 bytes[SIZE];									\
		} *record = bpf_ringbuf_reserve(&pieces, sizeof(*record), 0);					\
		__u64 size = n;											\
		long failed = -1;										\
		if (record) {											\
			fill(&record->head, told->id, session, DATA, told->direction);				\
			record->head.length = n;								\
			record->head.missing = session->missing[direction];					\
			/* So that it is compared and used in one register. */					\
			asm volatile("" : "+r"(size));								\
			if (size > SIZE)									\
				size = SIZE;									\
			asm volatile("" : "+r"(size));								\
			failed = bpf_probe_read_user(record->bytes, size, (void *)(told->buffer + done));     	\
			if (failed)										\
				bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);					\
			else											\
				bpf_ringbuf_submit(record, told->wakes);					\
		}												\
		failed;												\
	})

static long piece(__u64 index, void *context)
{
	struct told *told = context;
	struct session *session = told->session;
	__u32 direction = told->direction & 1, zero = 0;
	struct counts *counts = bpf_map_lookup_elem(&counted, &zero);
	__u64 done = index * PIECE, left = told->length - done;
	__u32 n = left > PIECE ? PIECE : left;
	__u32 length = n;
	long failed;

	if (done >= told->length || !session)
		return 1;
	if (n <= 256)
		failed = TELL(256);
	else if (n <= 1024)
		failed = TELL(1024);
	else if (n <= 4096)
		failed = TELL(4096);
	else
		failed = TELL(PIECE);
	if (failed) {
		session->missing[direction] += length;
		if (counts) {
			counts->lost_records++;
			counts->lost_bytes += length;
		}
	} else {
		session->missing[direction] = 0;
	}
	return 0;
}

static __always_inline void tell(__u64 id, __u64 buffer, __u64 length, __u32 direction)
{
	__u32 zero = 0, pid = bpf_get_current_pid_tgid() >> 32, one = 1;
	struct counts *counts = bpf_map_lookup_elem(&counted, &zero);
	struct session *session = session_of(id, 1);
	struct told told = { .id = id, .buffer = buffer, .length = length, .session = session, .direction = direction };

	if (counts) {
		counts->calls++;
		counts->bytes += length;
	}
	if (!session)
		return;
	if (!bpf_map_lookup_elem(&known, &pid))
		bpf_map_update_elem(&known, &pid, &one, BPF_ANY);
	told.wakes = bpf_ringbuf_query(&pieces, BPF_RB_AVAIL_DATA) > FULL ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
	bpf_loop(PIECES, piece, &told, 0);
	if (length > PIECES * PIECE) {
		session->missing[direction & 1] += length - PIECES * PIECE;
		if (counts)
			counts->lost_bytes += length - PIECES * PIECE;
	}
}

/* What was taken of a list of buffers. */
static __always_inline void tell_all(struct call *call, __u64 length)
{
	struct session *session;
	__u64 one[2];
	__u32 i;

	for (i = 0; i < VECTORS && i < call->vectors && length; i++) {
		if (bpf_probe_read_user(one, sizeof(one), (void *)(call->buffer + i * sizeof(one))))
			break;
		if (one[1] > length)
			one[1] = length;
		length -= one[1];
		if (one[1])
			tell(call->session, one[0], one[1], call->direction);
	}
	session = length ? session_of(call->session, 1) : 0;
	if (session)
		session->missing[call->direction & 1] += length;
}

/* What a session sends through memory is not seen to be sent: what its thread received last is a guess. */
static __always_inline void guess(__u64 id, __u32 sure)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct received *last = bpf_map_lookup_elem(&recent, &thread);
	struct session *session;
	struct ends ends;

	if (!last)
		return;
	if (bpf_ktime_get_ns() - last->time < FRESH) {
		session = session_of(id, 1);
		if (session && session->sure <= sure) {
			__builtin_memcpy(&ends, &last->ends, sizeof(ends));
			bind(session, &ends, sure);
		}
	}
	bpf_map_delete_elem(&recent, &thread);
}

static __always_inline int begin_all(__u64 session, __u64 buffer, __u64 got, __u32 direction, __u64 vectors)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u32 pid = thread >> 32, one = 1;
	struct call call = { .session = session, .buffer = buffer, .got = got, .direction = direction, .vectors = vectors };
	struct call *outer;

	if (!is_wanted())
		return 0;
	outer = bpf_map_lookup_elem(&calls, &thread);
	if (outer && outer->session == session && outer->direction == direction && outer->buffer == buffer) {
		outer->depth++;
		return 0;
	}
	if (!bpf_map_lookup_elem(&known, &pid))
		bpf_map_update_elem(&known, &pid, &one, BPF_ANY);
	guess(session, direction == SENT ? GUESSED_SENDING : GUESSED);
	bpf_map_update_elem(&calls, &thread, &call, BPF_ANY);
	return 0;
}

static __always_inline int begin(__u64 session, __u64 buffer, __u64 got, __u32 direction)
{
	return begin_all(session, buffer, got, direction, 0);
}

static __always_inline int done(long returned, int is_rustls)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct handed handing;
	struct call *noted = bpf_map_lookup_elem(&calls, &thread);
	struct call call;
	__u64 length;

	if (!noted)
		return 0;
	if (noted->depth) {
		noted->depth--;
		return 0;
	}
	call = *noted;
	bpf_map_delete_elem(&calls, &thread);
	if (call.direction == HANDSHAKE)
		return 0;
	/* Some return an int. */
	if ((int)returned <= 0)
		return 0;
	length = (__u32)returned;
	if (call.got) {
		if ((int)returned != 1 || bpf_probe_read_user(&length, sizeof(length), (void *)call.got))
			return 0;
	}
	if (is_rustls && call.direction == SENT && length) {
		handing.time = bpf_ktime_get_ns();
		handing.session = call.session;
		bpf_map_update_elem(&handed, &thread, &handing, BPF_ANY);
	}
	if (call.vectors) {
		tell_all(&call, length);
		return 0;
	}
	if (length)
		tell(call.session, call.buffer, length, call.direction);
	return 0;
}

static __always_inline void end(__u64 id)
{
	struct session_key key = { .session = id, .pid = bpf_get_current_pid_tgid() >> 32 };
	struct session *session = bpf_map_lookup_elem(&sessions, &key);
	struct head *head;

	if (!session)
		return;
	head = bpf_ringbuf_reserve(&pieces, sizeof(*head), 0);
	if (head) {
		fill(head, id, session, END, SENT);
		head->missing = session->missing[SENT] + session->missing[RECEIVED];
		bpf_ringbuf_submit(head, BPF_RB_NO_WAKEUP);
	}
	bpf_map_delete_elem(&sessions, &key);
}

struct search {
	struct session_key key;
	__u64 step;
	__u64 found;
	__u32 half;
};

static long search(__u64 index, void *context)
{
	struct search *search = context;
	struct session *session;

	search->key.session += search->step;
	session = bpf_map_lookup_elem(&sessions, &search->key);
	if (!session || session->half != search->half)
		return 0;
	session->half = BOTH;
	search->found = search->key.session;
	return 1;
}

/* The session of a connection of rustls: what was received lies within it, in each version and at each end at another distance. The
 * half of which nothing was heard before belongs to the other half that is nearest. */
static __always_inline __u64 joined(__u64 id, __u32 half)
{
	struct search near = {
		.key = { .session = id, .pid = bpf_get_current_pid_tgid() >> 32 },
		.step = half == WHOLE ? 8 : -8,
		.half = half == WHOLE ? PART : WHOLE,
	};
	struct session_key key = near.key;
	__u64 *other = bpf_map_lookup_elem(&halves, &key);
	struct session *session;

	if (other && session_of(*other, 0))
		return *other;
	if (session_of(id, 0))
		return id;
	bpf_loop(CONNECTION / 8, search, &near, 0);
	if (near.found) {
		bpf_map_update_elem(&halves, &key, &near.found, BPF_ANY);
		return near.found;
	}
	session = session_of(id, 1);
	if (session)
		session->half = half;
	return id;
}

/* `Writer` and `Reader` begin with the address of what they write to or read from. */
static __always_inline int rustls(__u64 function, __u64 self, __u64 buffer, __u64 count)
{
	int is_all = function == RUSTLS_HANDING_ALL || function == RUSTLS_WRITER_HANDING_ALL;
	int is_itself = function == RUSTLS_HANDING || function == RUSTLS_HANDING_ALL || function == RUSTLS_FREEING;
	struct session_key key = { .pid = bpf_get_current_pid_tgid() >> 32 };
	__u32 pid = key.pid, one = 1;
	__u64 *other;

	if (!is_wanted())
		return 0;
	if (function == RUSTLS_BEGINNING) {
		/* What it receives for its handshake tells whom it will talk to. */
		bpf_map_update_elem(&known, &pid, &one, BPF_ANY);
		return 0;
	}
	if (!is_itself && bpf_probe_read_user(&self, sizeof(self), (void *)self))
		return 0;
	if (function == RUSTLS_FREEING) {
		key.session = self;
		other = bpf_map_lookup_elem(&halves, &key);
		end(other ? *other : self);
		bpf_map_delete_elem(&halves, &key);
		return 0;
	}
	if (function == RUSTLS_TAKING)
		return begin(joined(self, PART), buffer, 0, RECEIVED);
	return begin_all(joined(self, WHOLE), buffer, 0, SENT, is_all ? count : 0);
}

/* Go: arguments stand in its own registers, and a goroutine may return on another thread. */
#if defined(__TARGET_ARCH_arm64)
#define GO(context, x86, arm) BPF_CORE_READ((struct user_pt_regs *)(context), regs[arm])
#else
#define GO(context, x86, arm) ((context)->x86)
#endif

/* The connection of a `crypto/tls.Conn`: it begins with an interface of a `net.TCPConn`, which leads to its file. */
static __always_inline void bind_go(__u64 id)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct session *session = session_of(id, 1);
	__u64 connection = 0, network = 0;
	struct socket *socket;
	struct fdtable *table;
	struct file **files;
	struct file *file;
	struct ends ends;
	struct sock *sk;
	__u32 number = 0;

	if (!session || session->sure)
		return;
	if (bpf_probe_read_user(&connection, 8, (void *)(id + 8)) || bpf_probe_read_user(&network, 8, (void *)connection) ||
	    bpf_probe_read_user(&number, 4, (void *)(network + 16)))
		return;
	table = BPF_CORE_READ(task, files, fdt);
	if (number >= BPF_CORE_READ(table, max_fds))
		return;
	files = BPF_CORE_READ(table, fd);
	if (bpf_probe_read_kernel(&file, sizeof(file), files + number) || !file)
		return;
	if ((BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return;
	socket = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(socket, sk);
	if (!sk || !is_tcp(sk))
		return;
	fill_ends(&ends, sk);
	bind(session, &ends, CERTAIN);
}

static __always_inline int go_handing(struct pt_regs *context)
{
	__u64 id = GO(context, ax, 0), buffer = GO(context, bx, 1), length = GO(context, cx, 2);

	if (!is_wanted() || !length || length >> 40)
		return 0;
	bind_go(id);
	tell(id, buffer, length, SENT);
	return 0;
}

static __always_inline int go_taking(struct pt_regs *context)
{
	struct goroutine key = { .g = GO(context, r14, 28), .pid = bpf_get_current_pid_tgid() >> 32 };
	struct call call = { .session = GO(context, ax, 0), .buffer = GO(context, bx, 1), .direction = RECEIVED };

	if (is_wanted())
		bpf_map_update_elem(&goroutines, &key, &call, BPF_ANY);
	return 0;
}

static __always_inline int go_taken(struct pt_regs *context)
{
	struct goroutine key = { .g = GO(context, r14, 28), .pid = bpf_get_current_pid_tgid() >> 32 };
	struct call *noted = bpf_map_lookup_elem(&goroutines, &key);
	__s64 length = GO(context, ax, 0);
	struct call call;

	if (!noted)
		return 0;
	call = *noted;
	bpf_map_delete_elem(&goroutines, &key);
	if (length <= 0 || length >> 40)
		return 0;
	bind_go(call.session);
	tell(call.session, call.buffer, length, RECEIVED);
	return 0;
}

/* One attachment for all functions of a file: each has its cookie. */
SEC("uprobe.multi")
int entered(struct pt_regs *context)
{
	__u64 function = bpf_get_attach_cookie(context);
	__u64 session = PT_REGS_PARM1(context), buffer = PT_REGS_PARM2(context), got = PT_REGS_PARM4(context);

	switch (function) {
	case HANDING:
		return begin(session, buffer, 0, SENT);
	case TAKING:
		return begin(session, buffer, 0, RECEIVED);
	case HANDING_EX:
		return begin(session, buffer, got, SENT);
	case TAKING_EX:
		return begin(session, buffer, got, RECEIVED);
	case SHAKING:
		return begin(session, 0, 0, HANDSHAKE);
	case FREEING:
		if (is_wanted())
			end(session);
		return 0;
	/* What of NSS reads and writes is of plain files and sockets, too. */
	case NSS_RECEIVING:
		/* PR_MSG_PEEK takes nothing. */
		if (got & 2)
			return 0;
	case NSS_TAKING:
		return session_of(session, 0) ? begin(session, buffer, 0, RECEIVED) : 0;
	case NSS_HANDING:
		return session_of(session, 0) ? begin(session, buffer, 0, SENT) : 0;
	case GO_HANDING:
		return go_handing(context);
	case GO_TAKING:
		return go_taking(context);
	case GO_TAKEN:
		return go_taken(context);
	case GO_CLOSING:
		if (is_wanted())
			end(GO(context, ax, 0));
		return 0;
	case RUSTLS_HANDING:
	case RUSTLS_HANDING_ALL:
	case RUSTLS_WRITER_HANDING:
	case RUSTLS_WRITER_HANDING_ALL:
	case RUSTLS_TAKING:
	case RUSTLS_FREEING:
	case RUSTLS_BEGINNING:
		return rustls(function, session, buffer, PT_REGS_PARM3(context));
	}
	return 0;
}

SEC("uretprobe.multi")
int returned(struct pt_regs *context)
{
	__u64 value = PT_REGS_RC(context), function = bpf_get_attach_cookie(context);

	/* `io::Result<usize>`: whether it failed, and how many. */
	if (function >= RUSTLS_HANDING)
		return done(value ? 0 : GO(context, dx, 1), 1);
	if (function != NSS_IMPORTED)
		return done(value, 0);
	if (value && is_wanted())
		session_of(value, 1);
	return 0;
}

/* What rustls was handed the same thread sends at once. Its addresses are told without bytes: what was told before lacks them. */
static __always_inline void sent_on(struct sock *sk)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct handed *last = bpf_map_lookup_elem(&handed, &thread);
	struct session *session;
	struct head *head;
	struct ends ends;
	__u64 id;

	if (!last || !is_tcp(sk))
		return;
	id = last->session;
	session = bpf_ktime_get_ns() - last->time < FRESH ? session_of(id, 0) : 0;
	bpf_map_delete_elem(&handed, &thread);
	if (!session || session->sure > GUESSED)
		return;
	fill_ends(&ends, sk);
	bind(session, &ends, GUESSED);
	head = bpf_ringbuf_reserve(&pieces, sizeof(*head), 0);
	if (!head)
		return;
	fill(head, id, session, DATA, SENT);
	bpf_ringbuf_submit(head, BPF_RB_NO_WAKEUP);
}

static __always_inline int used(struct sock *sk, int bytes, int is_received)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct call *call = bpf_map_lookup_elem(&calls, &thread);
	__u32 pid = thread >> 32;
	struct received last;
	struct session *session;
	struct ends ends;

	if (call) {
		session = session_of(call->session, 1);
		if (!session || !is_tcp(sk))
			return 0;
		fill_ends(&ends, sk);
		bind(session, &ends, CERTAIN);
		return 0;
	}
	if (!is_received && bytes > 0)
		sent_on(sk);
	if (!is_received || bytes <= 0 || !bpf_map_lookup_elem(&known, &pid) || !is_tcp(sk))
		return 0;
	__builtin_memset(&last, 0, sizeof(last));
	last.time = bpf_ktime_get_ns();
	fill_ends(&last.ends, sk);
	bpf_map_update_elem(&recent, &thread, &last, BPF_ANY);
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(sent, struct sock *sk, int ret, int flags)
{
	return used(sk, ret, 0);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(received, struct sock *sk, int ret, int flags)
{
	return used(sk, ret, 1);
}

/* What a program may have loaded is looked at anew. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(executed, struct task_struct *task)
{
	struct head *head;

	if (!is_wanted())
		return 0;
	head = bpf_ringbuf_reserve(&pieces, sizeof(*head), 0);
	if (!head)
		return 0;
	fill(head, 0, 0, EXEC, SENT);
	bpf_ringbuf_submit(head, BPF_RB_FORCE_WAKEUP);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(exited, struct task_struct *task)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u32 pid = thread >> 32;
	struct head *head;

	bpf_map_delete_elem(&calls, &thread);
	if (BPF_CORE_READ(task, signal, live.counter) > 0 || bpf_map_delete_elem(&known, &pid))
		return 0;
	head = bpf_ringbuf_reserve(&pieces, sizeof(*head), 0);
	if (!head)
		return 0;
	fill(head, 0, 0, EXIT, SENT);
	bpf_ringbuf_submit(head, BPF_RB_NO_WAKEUP);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
