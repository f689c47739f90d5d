/* Frames of interest handed up as they pass (TCX): those that open or end a connection or carry bytes, but not of flows that are left. */
#include "skb.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

/* As src/source/live/ebpf/kernel.rs knows them. */
#define CPUS 64
#define BUCKETS (1 << 14)
#define TAGS 7
#define FRESH (1 << 14)
/* Flows of datagrams have no end: they are left for 2^36 ns, about a minute. */
#define MINUTE 36
/* Bytes before a frame in its record, and of a Linux "cooked" header, version 2. */
#define SLL2 20
#define LARGEST ((512 << 10) + 128)

/* A frame as it goes up. */
struct record {
	__u64 time;
	__u32 original;
	__u32 length;
	__u8 bytes[];
};

struct counts {
	/* No room; of flows that are left; that carry nothing anybody reads. */
	__u64 lost;
	__u64 left;
	__u64 bare;
	__u64 unused[5];
};

/* Flows that are left by a number made of their ends, and when a connection last began in one that falls here. */
struct bucket {
	__u64 begun;
	__u64 tags[TAGS];
};

/* Memory that the program and the kernel share. */
struct {
	__u64 seed[2];
	/* Frames go up without their link header, a "cooked" one in its place. */
	__u32 cooked;
	/* So many bytes that wait, as a power of two, wake the reader. */
	__u32 wake;
	__u64 unused[5];
	struct counts counts[CPUS];
	struct bucket buckets[BUCKETS];
	/* Connections that have begun and carried nothing yet. */
	__u64 fresh[FRESH];
} shared;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} frames SEC(".maps");

enum way { UP, BARE, LEFT };

/* One end of a flow as a number; the ends of both are added up, so that their order does not matter. */
static __always_inline __u64 end(__u64 high, __u64 low, __u64 port)
{
	__u64 x = (low ^ shared.seed[0]) * 0x9e3779b97f4a7c15ULL;

	x ^= x >> 32;
	x = (x + (high ^ shared.seed[1])) * 0xbf58476d1ce4e5b9ULL;
	x ^= x >> 29;
	x = (x + port) * 0x94d049bb133111ebULL;
	return x ^ x >> 32;
}

static __always_inline __u64 tag(__u64 ends, __u64 kind)
{
	__u64 x = (ends + kind) * 0xff51afd7ed558ccdULL;

	x ^= x >> 33;
	/* 0 is nobody's. */
	return x | 1;
}

static __always_inline struct bucket *bucket(__u64 tag)
{
	return &shared.buckets[tag >> 16 & (BUCKETS - 1)];
}

/* Whether a connection begins as TLS does (RFC 8446 sections 4 and 5.1): a record, in it a ClientHello of that length, its version. Never
 * more than `probe` of src/protocol/tls.rs takes for TLS: what is left here would be left there. */
static __always_inline int is_hello(void *at, void *past)
{
	__u8 *bytes = at;

	return at + 11 <= past && bytes[0] == 0x16 && bytes[1] == 3 && bytes[2] <= 4 && bytes[5] == 1 && bytes[6] == 0 &&
	       bytes[9] == 3 && bytes[10] <= 3 && bytes[3] <= 0x40 &&
	       (bytes[3] << 8 | bytes[4]) == (bytes[7] << 8 | bytes[8]) + 4;
}

/* `shared::leave` of kernel.rs does the same where the engine has seen it. */
static __always_inline void leave(struct bucket *place, __u64 own)
{
	__u32 victim = own >> 8 & 7;
	int i;

	for (i = 0; i < TAGS; i++)
		if (!place->tags[i]) {
			place->tags[i] = own;
			return;
		}
	/* Where all are taken, one of them is looked into again. */
	place->tags[victim < TAGS ? victim : 0] = own;
}

static __always_inline enum way tcp(struct tcp *head, void *past, __u64 ends, __u32 payload)
{
	__u64 own = tag(ends, 6), *fresh = &shared.fresh[own >> 32 & (FRESH - 1)];
	struct bucket *place = bucket(own);
	int i;

	if ((head->flags & (SYN | ACK)) == SYN) {
		/* Another connection: whatever was known of one of these ends no longer holds. */
		place->begun = bpf_ktime_get_ns();
		for (i = 0; i < TAGS; i++)
			if (place->tags[i] == own)
				place->tags[i] = 0;
		*fresh = own;
		return UP;
	}
	if (head->flags & (SYN | FIN | RST)) {
		/* It will hardly say more: its place is free for others. */
		if (!(head->flags & SYN))
			for (i = 0; i < TAGS; i++)
				if (place->tags[i] == own)
					place->tags[i] = 0;
		return UP;
	}
	if (!payload)
		return BARE;
	if (*fresh == own) {
		*fresh = 0;
		/* The first bytes go up all the same: they are what is told of the flow. */
		if (is_hello((void *)head + ((head->offset >> 4) * 4 & 60), past))
			leave(place, own);
		return UP;
	}
	for (i = 0; i < TAGS; i++)
		if (place->tags[i] == own)
			return LEFT;
	return UP;
}

static __always_inline enum way udp(__u64 ends, __u32 payload)
{
	__u64 own = tag(ends, 17 + ((bpf_ktime_get_ns() >> MINUTE) << 8));
	struct bucket *place = bucket(own);
	int i;

	if (!payload)
		return BARE;
	for (i = 0; i < TAGS; i++)
		if (place->tags[i] == own)
			return LEFT;
	return UP;
}

/* `at` is where the transport header begins, `behind` how many bytes there are from there on. */
static __always_inline enum way transport(void *at, void *past, __u8 protocol, __u64 high[2], __u64 low[2], __u32 behind)
{
	struct ports *ports = at;
	struct tcp *head = at;
	__u64 ends;
	__u32 length;

	switch (protocol) {
	case 6:
		if ((void *)(head + 1) > past)
			return UP;
		ends = end(high[0], low[0], bpf_ntohs(head->ports.source)) + end(high[1], low[1], bpf_ntohs(head->ports.destination));
		length = (head->offset >> 4) * 4;
		return tcp(head, past, ends, behind > length ? behind - length : 0);
	case 17:
		if ((void *)(ports + 1) > past)
			return UP;
		ends = end(high[0], low[0], bpf_ntohs(ports->source)) + end(high[1], low[1], bpf_ntohs(ports->destination));
		return udp(ends, behind > 8 ? behind - 8 : 0);
	/* ICMP, IGMP, ESP, ICMPv6, OSPF, PIM, VRRP, SCTP: nobody reads them. */
	case 1:
	case 2:
	case 50:
	case 58:
	case 89:
	case 103:
	case 112:
	case 132:
		return BARE;
	}
	/* Tunnels, extension headers: decided above. */
	return UP;
}

static __always_inline enum way v4(void *at, void *past, __u32 behind)
{
	struct v4 *head = at;
	__u64 high[2] = {0, 0}, low[2];
	__u32 length, total;

	if ((void *)(head + 1) > past)
		return UP;
	length = (head->version & 15) * 4;
	/* Fragments are put together above. */
	if (head->version >> 4 != 4 || length < 20 || head->fragment & bpf_htons(0x3fff))
		return UP;
	/* Segmentation offload leaves a total of 0. */
	total = bpf_ntohs(head->total);
	if (!total || total > behind)
		total = behind;
	if (total < length)
		return UP;
	low[0] = 0xffff00000000ULL | bpf_ntohl(head->source);
	low[1] = 0xffff00000000ULL | bpf_ntohl(head->destination);
	if (length == 20)
		return transport(head + 1, past, head->protocol, high, low, total - 20);
	return transport(at + (length & 60), past, head->protocol, high, low, total - length);
}

static __always_inline enum way v6(void *at, void *past, __u32 behind)
{
	struct v6 *head = at;
	__u64 high[2], low[2];
	__u32 length;

	if ((void *)(head + 1) > past || behind < 40)
		return UP;
	length = bpf_ntohs(head->length);
	if (!length || length > behind - 40)
		length = behind - 40;
	high[0] = bpf_be64_to_cpu(head->source[0]);
	low[0] = bpf_be64_to_cpu(head->source[1]);
	high[1] = bpf_be64_to_cpu(head->destination[0]);
	low[1] = bpf_be64_to_cpu(head->destination[1]);
	return transport(head + 1, past, head->next, high, low, length);
}

/* Whether a frame goes up; `link` is the length of its link header. What cannot be told here does. */
static __always_inline enum way look(struct __sk_buff *skb, __u32 link)
{
	void *at = (void *)(long)skb->data, *past = (void *)(long)skb->data_end;
	__u32 behind = skb->len - link;
	__u16 type;
	int i;

	if (link) {
		if (at + 14 > past)
			return UP;
		type = bpf_ntohs(*(__be16 *)(at + 12));
		at += 14;
		/* Tags that are in the frame still. */
		for (i = 0; i < 2; i++) {
			if (type != 0x8100 && type != 0x88a8 && type != 0x9100)
				break;
			if (at + 4 > past || behind < 4)
				return UP;
			type = bpf_ntohs(*(__be16 *)(at + 2));
			at += 4;
			behind -= 4;
		}
	} else {
		if (at + 1 > past)
			return UP;
		type = *(__u8 *)at >> 4 == 4 ? 0x0800 : 0x86dd;
	}
	if (type == 0x0800)
		return v4(at, past, behind);
	if (type == 0x86dd)
		return v6(at, past, behind);
	/* A third tag, MPLS, PPPoE, IEEE 802.3: packets may stand behind them. */
	if (type == 0x8100 || type == 0x88a8 || type == 0x9100 || type == 0x8847 || type == 0x8848 || type == 0x8864 || type < 0x0600)
		return UP;
	return BARE;
}

/* Records of one size each, of which the smallest that fits is taken: what is reserved has to be a constant. */
static __always_inline __u32 room(__u32 need)
{
	if (need <= 128) return 128;
	if (need <= 192) return 192;
	if (need <= 256) return 256;
	if (need <= 384) return 384;
	if (need <= 512) return 512;
	if (need <= 768) return 768;
	if (need <= 1024) return 1024;
	if (need <= 1280) return 1280;
	if (need <= 1560) return 1560;
	if (need <= 2048) return 2048;
	if (need <= 3072) return 3072;
	if (need <= 4608) return 4608;
	if (need <= 6144) return 6144;
	if (need <= 9216) return 9216;
	if (need <= 12288) return 12288;
	if (need <= 18432) return 18432;
	if (need <= 24576) return 24576;
	if (need <= 36864) return 36864;
	if (need <= 49152) return 49152;
	if (need <= 65792) return 65792;
	if (need <= 131328) return 131328;
	if (need <= 262400) return 262400;
	return LARGEST;
}

/* What stands before the bytes that are copied as they are: of `head` bytes, and from where in the frame they are. */
static __always_inline void before(struct __sk_buff *skb, __u8 *out, __u32 link, int outgoing, int is_tagged)
{
	__be16 type = skb->protocol, outer = skb->vlan_proto, control = bpf_htons(skb->vlan_tci);

	if (shared.cooked) {
		__builtin_memset(out, 0, SLL2);
		*(__be16 *)out = is_tagged ? outer : type;
		*(__be32 *)(out + 4) = bpf_htonl(skb->ifindex);
		*(__be16 *)(out + 8) = bpf_htons(link ? 1 : 0xfffe);
		out[10] = outgoing ? 4 : skb->pkt_type;
		if (link) {
			out[11] = 6;
			bpf_skb_load_bytes(skb, 6, out + 12, 6);
		}
		if (is_tagged) {
			*(__be16 *)(out + SLL2) = control;
			*(__be16 *)(out + SLL2 + 2) = type;
		}
	} else if (is_tagged) {
		bpf_skb_load_bytes(skb, 0, out, 12);
		*(__be16 *)(out + 12) = outer;
		*(__be16 *)(out + 14) = control;
	}
}

static __always_inline int take(struct __sk_buff *skb, __u32 link, int outgoing)
{
	struct counts *counts = &shared.counts[bpf_get_smp_processor_id() & (CPUS - 1)];
	__u32 is_tagged, from, head, length, size, wake = shared.wake & 31;
	__u64 n, most;
	struct record *record;
	enum way way;
	__u64 waiting;

	if (skb->len < link)
		return TCX_NEXT;
	way = look(skb, link);
	if (way == LEFT)
		__sync_fetch_and_add(&counts->left, 1);
	if (way == BARE)
		__sync_fetch_and_add(&counts->bare, 1);
	if (way != UP)
		return TCX_NEXT;
	/* A tag that the kernel took off is put back; without a link header there is none. */
	is_tagged = skb->vlan_present && (link || shared.cooked) && skb->len >= 14;
	if (shared.cooked) {
		from = link;
		head = SLL2 + (is_tagged ? 4 : 0);
	} else {
		from = is_tagged ? 12 : 0;
		head = is_tagged ? 16 : 0;
	}
	length = skb->len - from;
	size = room(sizeof(*record) + head + length);
	record = bpf_ringbuf_reserve(&frames, size, 0);
	if (!record) {
		__sync_fetch_and_add(&counts->lost, 1);
		return TCX_NEXT;
	}
	/* The verifier has to see the very register that is used between its bounds. */
	n = length & 0xfffff;
	asm volatile("" : "+r"(n));
	most = size - sizeof(*record) - head;
	if (n > most)
		n = most;
	record->time = bpf_ktime_get_ns();
	record->original = head + length;
	record->length = head + n;
	before(skb, record->bytes, link, outgoing, is_tagged);
	asm volatile("" : "+r"(n));
	if (n == 0 || n > most || bpf_skb_load_bytes(skb, from, record->bytes + head, n)) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		return TCX_NEXT;
	}
	waiting = bpf_ringbuf_query(&frames, BPF_RB_AVAIL_DATA);
	bpf_ringbuf_submit(record, waiting >> wake != (waiting - size) >> wake ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
	return TCX_NEXT;
}

SEC("tcx/ingress")
int ethernet_in(struct __sk_buff *skb)
{
	return take(skb, 14, 0);
}

SEC("tcx/egress")
int ethernet_out(struct __sk_buff *skb)
{
	return take(skb, 14, 1);
}

SEC("tcx/ingress")
int raw_in(struct __sk_buff *skb)
{
	return take(skb, 0, 0);
}

SEC("tcx/egress")
int raw_out(struct __sk_buff *skb)
{
	return take(skb, 0, 1);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
