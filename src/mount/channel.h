/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between the processes of a mount: a letter, a text, descriptors; over a socket pair of
 * packets. The other end's death is the end of the messages.
 */
#pragma once

#include "util/err.h"

#include <sys/types.h>

#define MESSAGE_FDS_MAX 12

/* Who sends it to whom: see supervisor.h. */
enum message_kind {
	MESSAGE_START = 'C',  /* starter -> supervisor -> server: config, [session,] others */
	MESSAGE_ADOPT = 'A',  /* server -> new supervisor: config, device, session, pidfd, others */
	MESSAGE_BUILT = 'B',  /* server -> supervisor: the union is open; [session] */
	MESSAGE_GO = 'G',     /* supervisor -> server: answer requests; [device] */
	MESSAGE_READY = 'R',  /* server -> supervisor -> starter */
	MESSAGE_STOP = 'S',   /* supervisor -> server: pause */
	MESSAGE_PAUSED = 'P', /* server -> supervisor */
	MESSAGE_EXIT = 'X',   /* supervisor -> server that has paused */
	MESSAGE_DONE = 'D',   /* server -> supervisor: it is unmounted */
	MESSAGE_FAILED = 'E', /* server -> supervisor -> starter: why */
};

struct message {
	char kind;
	char text[1024];
	int fds[MESSAGE_FDS_MAX]; /* the receiver's to close: message_done */
	size_t n_fds;
};
void message_done(struct message *m);
#define _cleanup_message_ _cleanup_(message_done)

_must_check_ int channel_send(
	int channel, enum message_kind kind, const char *text, const int *fds, size_t n_fds);
/* 1 = the other end is gone. */
_must_check_ int channel_receive(int channel, struct message *ret);

/*
 * Starts `program command` in a session of its own, with the other end of *ret_channel as its
 * descriptor CHANNEL_FD and `log_fd` (-1: our own) as its standard error; other descriptors of
 * ours are closed in it, as all are close-on-exec.
 */
#define CHANNEL_FD 3
_must_check_ int channel_spawn(
	const char *program, const char *command, int log_fd, int *ret_channel, pid_t *ret_pid);
