/* SPDX-License-Identifier: Apache-2.0 */
/* glibc's own has <math.h>'s functions for vectors, with types that only their machine has. */
#include <bits/libm-simd-decl-stubs.h>
