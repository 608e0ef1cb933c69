// SPDX-License-Identifier: GPL-2.0
// The hash of a sequence of six calls; learner/grams.py computes the same. No kernel's types: a test
// compiles this for the host and compares both.
#ifndef ETHOGRAM_GRAM_HASH_H
#define ETHOGRAM_GRAM_HASH_H

#define GRAM_BITS 10
#define GRAM_OTHER 1022 // a number that ten bits cannot hold; 1023 is "no call yet"
#define GRAM_MAP_BITS 16

static __always_inline __u64 gram_hash(__u64 gram)
{
	__u64 hash = 0xcbf29ce484222325ull;

	for (int shift = 5 * GRAM_BITS; shift >= 0; shift -= GRAM_BITS) {
		__u64 number = gram >> shift & ((1 << GRAM_BITS) - 1);

		// As table `ngrams` has them: 65534 and 65535.
		if (number >= GRAM_OTHER)
			number += 0x10000 - (1 << GRAM_BITS);
		hash ^= gram >> 60 << 16 | number;
		hash *= 0x9e3779b97f4a7c15ull;
		hash ^= hash >> 32;
	}
	hash *= 0xff51afd7ed558ccdull;
	return hash ^ hash >> 33;
}

// Are both its bits set?
static __always_inline int has_gram(const __u64 *bits, __u64 gram)
{
	__u64 hash = gram_hash(gram), mask = (1 << GRAM_MAP_BITS) - 1;
	__u64 one = hash & mask, two = hash >> 32 & mask;

	return bits[one >> 6] >> (one & 63) & bits[two >> 6] >> (two & 63) & 1;
}

#endif
