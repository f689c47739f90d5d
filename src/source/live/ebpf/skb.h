/* What frames.bpf.c needs to know: the kernel's view of a frame as programs see it (linux/bpf.h), and headers. */
#ifndef LEAKTAP_SKB_H
#define LEAKTAP_SKB_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed int __s32;
typedef signed long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u32 __wsum;

enum { BPF_MAP_TYPE_RINGBUF = 27 };
enum { BPF_RB_NO_WAKEUP = 1, BPF_RB_FORCE_WAKEUP = 2 };
enum { BPF_RB_AVAIL_DATA = 0 };
/* Whatever comes next decides what becomes of the frame. */
enum { TCX_NEXT = -1 };
enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

struct __sk_buff {
	__u32 len;
	__u32 pkt_type;
	__u32 mark;
	__u32 queue_mapping;
	__u32 protocol;
	__u32 vlan_present;
	__u32 vlan_tci;
	__u32 vlan_proto;
	__u32 priority;
	__u32 ingress_ifindex;
	__u32 ifindex;
	__u32 tc_index;
	__u32 cb[5];
	__u32 hash;
	__u32 tc_classid;
	__u32 data;
	__u32 data_end;
};

/* RFC 791 */
struct v4 {
	__u8 version;
	__u8 service;
	__be16 total;
	__be16 id;
	__be16 fragment;
	__u8 ttl;
	__u8 protocol;
	__u16 sum;
	__be32 source;
	__be32 destination;
};

/* RFC 8200 */
struct v6 {
	__be32 version;
	__be16 length;
	__u8 next;
	__u8 hops;
	__be64 source[2];
	__be64 destination[2];
};

struct ports {
	__be16 source;
	__be16 destination;
};

/* RFC 9293 */
struct tcp {
	struct ports ports;
	__be32 sequence;
	__be32 acknowledgment;
	__u8 offset;
	__u8 flags;
	__be16 window;
	__u16 sum;
	__be16 urgent;
};

#endif
