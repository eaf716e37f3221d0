// SPDX-License-Identifier: Apache-2.0
// Loaded from a routed directory by paths_refuse.c.
__attribute__((visibility("default"))) int answer(void);
int
answer(void)
{
    return 42;
}
