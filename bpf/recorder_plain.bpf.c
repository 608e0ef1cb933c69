// SPDX-License-Identifier: GPL-2.0
// The recorder without bpf_rdonly_cast, for kernels that have none. Verifiers before Linux commit
// a5d827275241 ("bpf: Be conservative while processing invalid kfunc calls") (v5.16) refuse a
// program that names a function which is not there, even where it is never called.
#define WITHOUT_RDONLY_CAST
#include "recorder.bpf.c"
