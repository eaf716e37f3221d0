// SPDX-License-Identifier: Apache-2.0
// The schema and its migrations.
#ifndef ZIO_META_SCHEMA_H
#define ZIO_META_SCHEMA_H

#include "meta/db.h"

#define META_SCHEMA 2 // the version that this engine writes

// Bring the database from its version to `to` (tests stop earlier than META_SCHEMA), all in one transaction.
// -EPROTONOSUPPORT: it is newer.
int schema_upgrade(struct meta_db *db, uint32_t to, const struct meta_say *say);

#endif
