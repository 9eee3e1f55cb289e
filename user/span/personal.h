/* SPDX-License-Identifier: Apache-2.0 */
/*
 * personal.h - what of a text is a person's: e-mail addresses, numbers of payment cards.
 *
 * They are masked only where the user asks for it (--redact): prose is full of
 * addresses that matter to what the model is asked.  Only recognised here;
 * redact.c walks the text and masks.
 *
 * An address is a dot-string of RFC 5321 4.1.2 at a domain name with a top level
 * of letters; the "@" may be written %40.  Not meant: git@host:path, names of
 * files and units (logo@2x.png, getty@tty1.service), package@1.2.3.  Addresses
 * with other letters than ASCII, or quoted, are masked from their last ASCII
 * letters on.
 *
 * A card number has 13 to 19 digits in one run or in groups (one blank or dash
 * between them), begins as the schemes' numbers do (ISO/IEC 7812-1 ranges of
 * Visa, Mastercard, American Express, Discover, UnionPay, JCB, Diners) and has
 * the right check digit (Luhn).  One in ten numbers of such a beginning and
 * length has it by chance.
 */
#ifndef SPANTAP_PERSONAL_H
#define SPANTAP_PERSONAL_H

#include "base/slice.h"

#define PERSONAL_LOCAL_MAX  64  /* RFC 5321 4.5.3.1.1 */
#define PERSONAL_DOMAIN_MAX 253 /* RFC 1035 2.3.4, without the root */

/*
 * The address around an "@" at text[at]; nothing before `floor` belongs to it.
 * Returns its end and sets *ret_from, or 0: there is none.
 */
size_t personal_email(struct slice text, size_t at, size_t floor, size_t *ret_from);

/* The end of the card number that begins at text[from], 0: none does. */
size_t personal_card(struct slice text, size_t from);

#endif
