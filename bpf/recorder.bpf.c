// SPDX-License-Identifier: GPL-2.0
// The recorder: every program of the kernel side, in one object, because they share their maps.
//
//   whose.h       whose a task is: instance, phase, slot
//   syscalls.h    calls, sequences, errors, refused calls      sys_enter, sys_exit
//   files.h       opened files                                 (from sys_exit)
//   privileges.h  capabilities, privileged calls               cap_capable, (from sys_exit)
//   processes.h   exec, fork, exit, signals                    sched_process_*, signal_generate
//   network.h     peers, listeners, DNS replies                cgroup/*, inet_sock_set_state
//   cgroups.h     containers that come and go                  cgroup_mkdir, cgroup_rmdir
//   seed.h        what ran before                              iter/task, iter/task_file
#include "cgroups.h"
#include "network.h"
#include "seed.h"

#include "anchors.h"

char LICENSE[] SEC("license") = "GPL";
