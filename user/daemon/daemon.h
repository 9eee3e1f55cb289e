/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemon.h - the processes of spantap.
 *
 *   probe    privileged: loads, attaches, reads /proc, owns every BPF map; never reads payload (probe.c)
 *   inspect  jail: parses ELF files from passed descriptors (inspect.c)
 *   gate     jail: answers for execve(2) of programs that wait for their probes (gate.c, probe/hold.h)
 *   decode   jail: no files, no network, no bpf: rings -> spans (decode.c)
 *   sink     the invoking user: the only process that writes the store and output files (sink.c)
 *   export   the invoking user: reads the store, sends to one OTLP endpoint (exporter.c)
 *   webhook  the invoking user: tells a URL of alerts (webhook.c)
 *   metrics-export   the invoking user: sends metrics to an OTLP endpoint (metrics_exporter.c)
 *   metrics  jail: no files, no outgoing connections: answers scrapers from what sink hangs up (metrics_server.c)
 *
 * inspect, decode and sink are started by spawn_role() and get one MSG_CONF
 * each, with the structures below; they answer MSG_READY or MSG_FAIL.
 */
#ifndef SPANTAP_DAEMON_H
#define SPANTAP_DAEMON_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"
#include "daemon/budget.h"
#include "daemon/exporter.h"
#include "metrics/listen.h"
#include "probe/select.h"
#include "sink/sink.h"
#include "span/sample.h"

int inspect_main(void);
int gate_main(void);
int decode_main(void);
int sink_main(void);

/* MSG_CONF of decode. Descriptors: the link to sink, the journal, the heads (kept_heads.h), then in this order those that apply. */
/* Behind it the rules of --rule, in lines. */
struct decode_conf {
	uint8_t instance[16];
	enum content_level content;
	unsigned redact;  /* bits of enum redact_mode */
	bool from_file;   /* one descriptor: the recording to replay; else data ring, life ring, idle map */
	bool recording;   /* one more descriptor: the file to write raw events to */
	bool join_traces; /* --join-traces */
	bool llm_only;    /* connections without LLM traffic are to be left alone: MSG_JUDGE */
	struct sample_conf sample; /* not of a recording */
	unsigned generation; /* decodes that crashed before: above 0, go through the journal again */
};

/* MSG_CONF of sink: this, then each string as '+' text NUL, or '-' when it is absent. Descriptor: the link to decode; the board. */
struct sink_wire {
	uid_t uid;
	gid_t gid;
	int columns;
	bool color, continuous;
	enum content_level otlp_file_content, content;
	uint64_t retain_age_ns, retain_bytes;
	uint8_t instance[16];
	bool metrics; /* one more descriptor: the board */
};

/* What a capture writes; strings are borrowed, NULL when absent. */
struct outputs {
	struct sink_conf sink;
	unsigned redact;         /* --redact: bits of enum redact_mode */
	bool join_traces;        /* turns join the trace of an instrumented client */
	struct sample_conf sample;
	struct budget budget;    /* --max-cpu, --max-memory */
	bool otlp_content_given; /* else the OTLP file gets what is kept */
	bool verbose;
	struct otlp_endpoint endpoint_before; /* what is said before the first, from where each begins; no timeout: nothing yet */
	struct otlp_endpoint endpoints[EXPORT_ENDPOINTS_MAX];
	size_t n_endpoints;
	struct otlp_endpoint metrics_endpoint; /* its URL is NULL without */
	uint64_t metrics_interval_ms;
	const char *webhook;           /* --alert-webhook */
	struct listen_address metrics; /* --metrics; its length is 0 without */
	const char *record_file;
	uid_t uid; /* who owns the outputs */
	gid_t gid;
	struct buf rules; /* --rule, a line each (span/rules.h) */
	struct arena texts; /* strings made for them */
};

void sink_wire_encode(struct buf *out, const struct outputs *o);

/* A capture, in the process that is privileged (probe.c). */
struct capture {
	struct outputs out;
	struct selection *selection; /* of capture_record() */
	unsigned without;            /* enum loader_cap: not to be used, although the kernel has them */
	bool llm_only;               /* --http llm */
	/*
	 * SIGHUP: what is asked for now; NULL: it is wrong, and that was said.  It lives until it was
	 * asked once more.  Not set: SIGHUP ends the recording, as the others do.
	 */
	const struct capture *(*again)(void *ctx);
	void *again_ctx;
	bool no_hold;                /* --no-hold: programs do not wait for their probes (probe/hold.h) */
	char *const *argv;        /* CMD, NULL-terminated */
	const char *user;         /* CMD's user name; NULL: keep ours */
	uid_t cmd_uid;
	gid_t cmd_gid;
	const char *cmd_home;     /* NULL: leave the environment alone */
};

/* Of one command. Returns the exit code of `spantap run`: CMD's own, or 125 to 127. */
int capture_run(const struct capture *cap);

/* Of processes that run already and of those that will match, until SIGINT or SIGTERM. Returns 0, or 1 after saying why not. */
int capture_record(const struct capture *cap);

/* Decodes a recording with the same processes, without privileges. Returns 0, or 1 after saying why not. */
int capture_replay(const struct outputs *out, int recording_fd);

#endif
