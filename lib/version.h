/* SPDX-License-Identifier: BSD-2-Clause */
/* What a report has to name. */
#ifndef LIB_VERSION_H
#define LIB_VERSION_H

#define MANFRED_VERSION "0.1"

#endif
