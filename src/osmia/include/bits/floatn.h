/* SPDX-License-Identifier: Apache-2.0 */
/*
 * glibc's own <bits/floatn.h> takes any clang on x86 for one that has __float128, which there is
 * not for BPF, and <stdlib.h>, <stdio.h> and <math.h> would not compile. A long double is a double.
 */
#ifndef _BITS_FLOATN_H
#define _BITS_FLOATN_H

#include <features.h>

#define __HAVE_FLOAT128 0
#define __HAVE_DISTINCT_FLOAT128 0
#define __HAVE_FLOAT64X 0
#define __HAVE_FLOAT64X_LONG_DOUBLE 0

#include <bits/floatn-common.h>

#endif
