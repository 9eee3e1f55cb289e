/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exporter.h - one OTLP endpoint's process: a cursor over the store.
 *
 * It reads what sink has committed, sends it, and notes how far it got in
 * DIR/otlp-HASH.json (HASH: of the URL), which is also what `spantap status`
 * shows of it.  It runs apart from all else: a backend that is slow or down
 * costs capture nothing, and what it has not taken stays in the store, for
 * this run and for later ones, until retention erases it; that is counted.
 *
 * A batch whose answer was lost is sent again, with the same ids: OTLP
 * promises at least once, not exactly once.
 */
#ifndef SPANTAP_EXPORTER_H
#define SPANTAP_EXPORTER_H

#include <sys/types.h>

#include "sink/otlp_http.h"

#define EXPORT_SPANS_MAX 512             /* of one request */
#define EXPORT_BYTES_MAX (4u << 20)      /* of their texts; a single longer span is a request of its own */
#define EXPORT_WAIT_MAX  60000000000ull  /* ns between two tries */
#define EXPORT_ENDPOINTS_MAX 8

struct export_conf {
	struct otlp_endpoint endpoint; /* strings borrowed */
	const char *store_dir;
	uid_t uid;
	gid_t gid;
};

/* MSG_CONF of the role; decode returns 0 or -EBADMSG, its strings live for ever. */
void export_conf_encode(struct buf *out, const struct export_conf *c);
int export_conf_decode(struct slice in, struct export_conf *ret);

/* What is done with each span, since the cursor began; kept with it. */
struct export_figures {
	uint64_t exported;  /* taken */
	uint64_t rejected;  /* refused by a partial success */
	uint64_t refused;   /* the endpoint would never take them */
	uint64_t stripped;  /* of those exported: without content, because they were too large with it */
	uint64_t erased;    /* by retention, before they could be sent */
	uint64_t requests, failures;
	uint64_t bytes; /* of bodies, as compressed */
};

/* The URL without what it may hold of user name and password. */
void export_url(struct buf *out, const char *url);
/* DIR/otlp-HASH.json */
void export_state_path(struct buf *out, const char *dir, const char *url);

int exporter_main(void);

#endif
