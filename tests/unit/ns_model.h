// SPDX-License-Identifier: Apache-2.0
// The model that ns_model.c holds the namespace engine against: nodes with names and links there, what files
// are made of in ns_model_data.c.
#ifndef ZIO_TESTS_NS_MODEL_H
#define ZIO_TESTS_NS_MODEL_H

#include "tests/unit/ns.h"

#define HANDLES 3
#define NODES 400
#define NAMES 12
#define CHUNKS 4
#define CHUNK 65536u

enum kind { NONE, FILE_, DIR_, LINK_ };

struct mnode {
    enum kind kind;
    uint64_t ino;
    unsigned nlink;
    int parent;       // of a directory
    int child[NAMES]; // of a directory: node or -1
    unsigned holds[HANDLES];
    uint64_t size;
    uint64_t chunk[CHUNKS]; // ids, 0: hole
    uint32_t length[CHUNKS];
};

extern struct meta *h[HANDLES];
extern struct mnode node[NODES]; // 0: the root

// One random operation on a file's chunks through `m`.
void model_data(struct meta *m);

#endif
