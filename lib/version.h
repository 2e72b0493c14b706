/* SPDX-License-Identifier: BSD-2-Clause */
/* What a report has to name: the release, and the commit that was built (tools/build-name). */
#ifndef LIB_VERSION_H
#define LIB_VERSION_H

#include "build/gen/build_name.h"

#define MANFRED_VERSION "0.1" MANFRED_BUILD

#endif
