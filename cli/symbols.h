// SPDX-License-Identifier: Apache-2.0
// Names for addresses in object files, by elfutils: .symtab, .dynsym, and separate debug files found by build
// id.
#ifndef ZIO_CLI_SYMBOLS_H
#define ZIO_CLI_SYMBOLS_H

#include <stdint.h>

struct symbols; // open object files

struct symbol {
    const char *name; // NULL: unknown. Owned by the symbols
    uint64_t offset;  // the address less the symbol's
    const char *file; // source file, NULL: unknown. Owned by the symbols
    int line;
};

// NULL when out of memory.
struct symbols *symbols_new(void);
void symbols_free(struct symbols *s);

// Looks up a return address of the object at `path`, `address` being as the object numbers it. What cannot be
// found is left unknown.
void symbols_lookup(struct symbols *s, const char *path, uint64_t address, struct symbol *out);

#endif
