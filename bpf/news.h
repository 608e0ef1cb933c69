// SPDX-License-Identifier: GPL-2.0
// What a workload does for the first time, told at once: whoever watches looks it up in the open
// window, instead of waiting for its end. What was told of is not told again.
#ifndef ETHOGRAM_NEWS_H
#define ETHOGRAM_NEWS_H

#include "whose.h"

// What was told of, by a hash: two that share one cost the second its haste, and no more than that,
// because it is in the window's set all the same.
struct told_key {
	__u64 scope;
	__u64 hash;
};
HASH_LRU(told, struct told_key, __u32, 65536);

#define NEWS_KEY_SIZE 128

// Is this new, and is there room to tell of it? From here on it is not.
__noinline int is_news(__u32 slot, __u32 news, __u64 hash)
{
	struct told_key key = {};
	struct scope *scope;
	__u32 one = 1;

	if (!tells_news || !armed)
		return 0;
	scope = bpf_map_lookup_elem(&scopes, &slot);
	if (!scope || !scope->number || scope->is_muted)
		return 0;
	key.scope = scope->number + news_generation;
	key.hash = mix(hash, news);
	if (bpf_map_lookup_elem(&told, &key))
		return 0;
	bpf_map_update_elem(&told, &key, &one, BPF_ANY);
	return has_quota(slot, QUOTA_NEWS, quota_news);
}

// Tell of the entry with this *key*, which is in its set by now. Of what does not fit nothing is lost.
static __always_inline void put_news(__u32 slot, __u16 news, const void *key, __u16 size,
				     __u64 exec_key, bool is_urgent)
{
	struct {
		struct news_record head;
		__u8 key[NEWS_KEY_SIZE];
	} *room = bpf_ringbuf_reserve(&life, sizeof(*room), 0);
	__u64 flags;

	if (!room)
		return;
	room->head.time_ns = bpf_ktime_get_boot_ns();
	room->head.exec_key = exec_key;
	room->head.kind = RECORD_NEWS;
	room->head.slot = slot;
	room->head.window = window;
	room->head.news = news;
	room->head.key_size = size;
	if (size)
		__builtin_memcpy(room->key, key, size);
	flags = is_woken || !is_urgent ? BPF_RB_NO_WAKEUP : BPF_RB_FORCE_WAKEUP;
	if (is_urgent)
		is_woken = 1;
	bpf_ringbuf_submit(room, flags);
}

static __always_inline void send_news(__u32 slot, __u16 news, const void *key, __u16 size)
{
	put_news(slot, news, key, size, 0, true);
}

// The words of a key but the one that has slot and window.
static __always_inline __u64 hash_of_key(const void *key, int words, int left_out)
{
	const __u64 *word = key;
	__u64 hash = FIBONACCI;

#pragma clang loop unroll(full)
	for (int i = 0; i < words; i++)
		if (i != left_out)
			hash = mix(hash, word[i]);
	return hash;
}

#define SLOT_WORD(type) (__builtin_offsetof(struct type, slot) / 8)

static __always_inline int tell_file(struct file_key *key)
{
	if (!tells_news || !key || key->errnum)
		return 0;
	if (is_news(key->slot, NEWS_FILE,
		    hash_of_key(key, sizeof(*key) / 8, SLOT_WORD(file_key))))
		send_news(key->slot, NEWS_FILE, key, sizeof(*key));
	return 0;
}

__noinline int tell_flow(struct flow_key *key)
{
	if (!tells_news || !key)
		return 0;
	if (is_news(key->slot, NEWS_FLOW,
		    hash_of_key(key, sizeof(*key) / 8, SLOT_WORD(flow_key))))
		send_news(key->slot, NEWS_FLOW, key, sizeof(*key));
	return 0;
}

static __always_inline int tell_unix(struct unix_key *key)
{
	if (!tells_news || !key)
		return 0;
	if (is_news(key->slot, NEWS_UNIX,
		    hash_of_key(key, sizeof(*key) / 8, SLOT_WORD(unix_key))))
		send_news(key->slot, NEWS_UNIX, key, sizeof(*key));
	return 0;
}

// What a process may, or asks a ring for: news where nobody with its executable did before.
static __always_inline int tell_privilege(struct privilege_key *key, __u64 exe_key)
{
	if (!tells_news || !key)
		return 0;
	if (is_news(key->slot, NEWS_PRIVILEGE,
		    mix(mix(exe_key, key->capability), key->granted)))
		send_news(key->slot, NEWS_PRIVILEGE, key, sizeof(*key));
	return 0;
}

static __always_inline int tell_denied(struct denied_key *key, __u64 exe_key)
{
	if (!tells_news || !key)
		return 0;
	if (is_news(key->slot, NEWS_DENIED,
		    mix(mix(exe_key, (__u64)key->nr << 32 | key->arch), key->action)))
		send_news(key->slot, NEWS_DENIED, key, sizeof(*key));
	return 0;
}

// A call that is new to the slot, of the current task. What the workload's baseline allows is none.
// Counts are of all of its processes: who made the first is told here alone.
__noinline int tell_call(__u32 slot, __u32 nr, __u16 arch, __u16 news)
{
	struct call_key key = {};
	struct scope *scope;

	if (!tells_news)
		return 0;
	scope = bpf_map_lookup_elem(&scopes, &slot);
	if (!scope)
		return 0;
	if (news == NEWS_CALL && nr < NATIVE_CALLS &&
	    scope->calls[(nr >> 6) & (NATIVE_CALLS / 64 - 1)] >> (nr & 63) & 1)
		return 0;
	key.slot = slot;
	key.window = window;
	key.nr = nr;
	key.arch = arch;
	if (is_news(slot, news, (__u64)arch << 32 | nr))
		put_news(slot, news, &key, sizeof(key),
			 exec_key_of(bpf_get_current_task_btf()), true);
	return 0;
}

// Does the model of the slot's workload know this sequence of calls? Where there is none, it does.
__noinline int is_known_gram(__u64 gram, __u32 slot)
{
	struct scope *scope = bpf_map_lookup_elem(&scopes, &slot);
	struct gram_map *known;
	__u32 number;

	if (!scope || !scope->grams)
		return 1;
	number = scope->grams;
	known = bpf_map_lookup_elem(&known_grams, &number);
	return known ? has_gram(known->bits, gram) : 1;
}

// A sequence that the slot's model does not know. Some come by chance: they are no news. Nobody is
// woken for those beyond, who empties the rings finds the first of them.
static __always_inline void tell_gram(struct gram_key *key)
{
	struct scope *scope = bpf_map_lookup_elem(&scopes, &key->slot);

	if (!scope || scope->is_muted || has_quota(key->slot, QUOTA_GRAMS_NEW, scope->grams_new))
		return;
	if (has_quota(key->slot, QUOTA_GRAMS_TOLD, quota_grams_told))
		put_news(key->slot, NEWS_GRAM, key, sizeof(*key), 0, false);
}

// What is a record of its own, and in the ring already.
__noinline int tell_record(__u32 slot, __u16 news, __u64 hash)
{
	if (tells_news && is_news(slot, news, hash))
		send_news(slot, news, NULL, 0);
	return 0;
}

#endif
