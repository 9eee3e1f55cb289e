/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * state.h - kernel-side state that probe reads or writes: map keys, map values
 * and global variables.  Not records: nothing of this goes through a ring or
 * into a recording.  To be included after events.h.
 */
#ifndef SPANTAP_STATE_H
#define SPANTAP_STATE_H

/* Map "followed": tgid -> this. */
struct followed {
	struct ev_proc proc;
	__u64 exec_ts; /* of its latest exec, or its fork: TLS objects older than this are gone */
};

/* Map "conns". */
struct conn_key {
	__u64 tls;
	__u64 tgid;
};

struct conn_state {
	__u64 gen;
	struct ev_proc proc;
	__u64 produced[2]; /* by enum ev_dir */
	__u64 lost[2];
	__u32 seq[2];
	__u32 lib;
	__u32 flags; /* enum ev_conn_flags */
};

/* Global variable, set by the program whoami(): spantap itself, and how deep its pid namespace lies. */
struct self {
	__u32 tgid;
	__u32 level;
};

/* Global variable, written by user space. */
struct control {
	__u32 armed;       /* the next process that spantap forks is CMD */
	__u32 stop;        /* the capture has ended: record nothing more */
	__u64 attached_ts; /* when a library was last attached that a followed process used already */
};

#endif
