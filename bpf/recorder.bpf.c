// SPDX-License-Identifier: GPL-2.0
// The recorder: every program of the kernel side, in one object, because they share their maps.
//
//   whose.h       whose a task is: instance, phase, slot
//   callers.h     the same, for programs without task storage
//   syscalls.h    calls, sequences, errors, refused calls      sys_enter, sys_exit
//   arguments.h   what a few calls were given                  (from sys_enter)
//   files.h       opened files                                 (from sys_exit)
//   names.h       names that lead to no open file              (from sys_exit)
//   changes.h     renames, removals, links, modes              (from sys_exit)
//   optional.h    opened files that no call tells of          lsm/file_open
//   privileges.h  capabilities, privileged calls               cap_capable, (from sys_exit)
//   io_uring.h    requests of rings                            io_uring_submit_req, _complete
//   ring_sockets.h   the sockets of these
//   processes.h   exec, fork, exit, signals                    sched_process_*, signal_generate
//   describe.h    what a process record says                   (from sched_process_exec)
//   stdio.h       what its standard streams are, whom they talk to
//   network.h     peers and binds, whose a socket is           cgroup/*
//   tcp.h         listeners, clients, translations, bytes      inet_sock_set_state
//   unix.h        UNIX sockets by their names
//   socket_calls.h   the same, and other families             (from sys_exit)
//   dns.h         DNS replies                                  cgroup_skb/ingress
//   cgroups.h     containers that come and go                  cgroup_mkdir, cgroup_rmdir
//   seed.h        what ran before                              iter/task, iter/task_file
#include "cgroups.h"
#include "dns.h"
#include "io_uring.h"
#include "optional.h"
#include "seed.h"

#include "anchors.h"

char LICENSE[] SEC("license") = "GPL";
