/* SPDX-License-Identifier: Apache-2.0 */
/*
 * waterfall.h - spans along time:
 *
 *                                     0 s                         12.3 s
 *   turn 1                   12.30 s  ██████░░░░▓▓▓▓▓▓▓▓▓▓▓▓··██████████
 *     #1 chat some-model      2.10 s  ██████
 *     tool bash: pytest -x    6.20 s        ░░░░▓▓▓▓▓▓▓▓▓▓▓▓
 *       [1234] pytest -x      4.10 s            ────────────
 *     #2 chat some-model      3.80 s                          ██████████
 *
 * Of a turn each column shows what it was about most: a model at work (█), else
 * a tool running (▓), else a tool that was asked for and has not begun (░:
 * approval, a queue), else the agent itself (·).  A tool of which nothing tells
 * when it began is ▒ throughout.  Whatever is shorter than a column has one all
 * the same.
 */
#ifndef SPANTAP_WATERFALL_H
#define SPANTAP_WATERFALL_H

#include "sink/tree.h"

void waterfall_print(struct buf *out, const struct tree_conf *conf, const struct span *v, size_t n);

#endif
