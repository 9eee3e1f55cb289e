/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/sink.h"

/* The store comes first: what the others write is already safe there. */
const struct sink_ops *const sinks[] = {&sink_store, &sink_otlp_file, &sink_tree, &sink_metrics, NULL};
