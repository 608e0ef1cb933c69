// SPDX-License-Identifier: GPL-2.0
// A variable of every wire struct, so that each is in the object's BTF, where a test finds it.
#ifndef ETHOGRAM_ANCHORS_H
#define ETHOGRAM_ANCHORS_H

#include "events.h"

#define ANCHOR(name) struct name anchor_##name __attribute__((unused))

ANCHOR(slot_record);
ANCHOR(cgroup_record);
ANCHOR(process_record);
ANCHOR(stdio_peer);
ANCHOR(fork_record);
ANCHOR(exit_record);
ANCHOR(file_record);
ANCHOR(operation_record);
ANCHOR(packet_record);
ANCHOR(news_record);
ANCHOR(program_key);
ANCHOR(scope);
ANCHOR(slot_key);
ANCHOR(call_key);
ANCHOR(argument_key);
ANCHOR(denied_key);
ANCHOR(gram_key);
ANCHOR(file_key);
ANCHOR(flow_key);
ANCHOR(unix_key);
ANCHOR(privilege_key);
ANCHOR(loss_key);
ANCHOR(use);
ANCHOR(flow_use);
ANCHOR(slot_places);
ANCHOR(slot_counts);
ANCHOR(target);
ANCHOR(instance_key);
ANCHOR(instance);

#endif
