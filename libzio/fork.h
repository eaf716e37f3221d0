// SPDX-License-Identifier: Apache-2.0
// Around a fork: the lock is held across it, and the child takes over what was absent with a userfaultfd and
// a helper of its own before anybody can look.
#ifndef ZIO_FORK_H
#define ZIO_FORK_H

void fork_prepare(void);
void fork_parent(void);
void fork_child(void);

#endif
