/* SPDX-License-Identifier: Apache-2.0 */
/*
 * message.h - how spantap's processes talk.
 *
 * One message is one packet of a SOCK_SEQPACKET pair: framed by the kernel,
 * never torn by a crash of the sender.  A type, a payload of at most
 * MSG_MAX bytes, a few file descriptors.  Whoever receives a malformed or
 * unexpected message ends: the peer is broken or hostile.
 */
#ifndef SPANTAP_MESSAGE_H
#define SPANTAP_MESSAGE_H

#include "base/slice.h"

#define MSG_MAX     (60 * 1024) /* payload; fits the default socket buffer several times */
#define MSG_FDS_MAX 8

enum msg_type {
	/* probe to its children, the answers back */
	MSG_CONF = 1,  /* struct *_conf of the role, with its file descriptors */
	MSG_READY,     /* the role has its inputs, has given up its rights, and works */
	MSG_FAIL,      /* it cannot work: text, for the operator */
	MSG_RECORD,    /* probe -> decode: one record of events.h (EV_TOTALS, EV_MARK) */
	MSG_END,       /* probe -> decode: the capture has ended; decode -> sink: no span follows, struct sink_summary */
	MSG_DONE,      /* the role has flushed everything and ends */
	MSG_INSPECT,   /* probe -> inspect: a file descriptor; inspect -> probe: struct target */
	MSG_JUDGE,     /* decode -> probe: struct verdict of state.h */
	MSG_STATUS,    /* probe -> sink, decode -> sink: struct msg_status, then a JSON object: what `spantap status` shows of it */
	MSG_RETAIN,    /* probe -> sink: struct msg_retain, how long and how much to keep from now on */
	MSG_HELD,      /* gate -> probe: struct held of hold.h, and the file that is to be executed */
	MSG_LET_GO,    /* probe -> gate: struct let_go */
	MSG_AUDIT,     /* probe -> sink: struct msg_audit, then a JSON object: to be kept among the audit events */
	/* decode to sink, and back */
	MSG_RESET,     /* a new decode: what it has half sent is void */
	MSG_SPAN,      /* struct msg_span, then a part of an encoded span */
	MSG_ACK,       /* sink -> decode: uint64_t, all spans up to this serial are durable */
	MSG_HELLO,     /* sink -> decode: a new sink: send again what was not acknowledged */
	MSG_HEADS,     /* decode -> sink: records of span/heads.h, to be kept */
};

struct msg_span {
	uint64_t serial; /* of the span, from 1, by one decode */
	uint32_t offset; /* of this part */
	uint32_t total;  /* size of the encoded span */
};

enum status_part { STATUS_PROBE = 0, STATUS_DECODE = 1 };

struct msg_status {
	uint32_t part; /* enum status_part; the JSON replaces what was sent of it before */
	uint32_t pad;
};

struct msg_retain {
	uint64_t age_ns, bytes; /* struct store_limits */
};

struct msg_audit {
	uint64_t wall_ns;
	uint32_t what; /* enum audit_what */
	uint32_t pad;
};

enum audit_what { AUDIT_ATTACH, AUDIT_DETACH, AUDIT_KINDS };

struct msg {
	enum msg_type type;
	struct slice payload; /* in `bytes` */
	int fds[MSG_FDS_MAX]; /* the receiver's to close */
	size_t n_fds;
	char bytes[MSG_MAX + 8];
};

/* 0 or -errno; -EAGAIN on a full non-blocking socket. Descriptors are duplicated, not moved. */
int msg_send(int sock, enum msg_type type, struct slice payload, const int *fds, size_t n_fds);
/* As msg_send() for a head and a body that are not contiguous. */
int msg_send2(int sock, enum msg_type type, struct slice head, struct slice body);

/* 0; -EPIPE at end of file, -EPROTO when malformed, -EAGAIN, or another -errno. Received descriptors are CLOEXEC. */
int msg_recv(int sock, struct msg *ret);

#endif
