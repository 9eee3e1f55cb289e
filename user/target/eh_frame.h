/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eh_frame.h - where functions begin and end, also where there are no symbols.
 *
 * Every function of a program that can be unwound has a record (FDE) in
 * .eh_frame, and .eh_frame_hdr holds a sorted table of them; stripping removes
 * neither.  The split-off `.cold` part of a function has its own record.
 * Format: Linux Standard Base Core, "Exception Frames"; DWARF 4, 6.4.1.  Only
 * the form of the table that linkers write is read.
 */
#ifndef SPANTAP_EH_FRAME_H
#define SPANTAP_EH_FRAME_H

#include "target/code.h"

/* The bounds of the function that holds `addr`; false when no record says so. Costs at most 32 small reads
 * and 2 of a record. */
bool eh_frame_find(const struct code *code, uint64_t addr, uint64_t *ret_start, uint64_t *ret_end);

#endif
