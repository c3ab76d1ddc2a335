// The rows of a keys file's `meta` that are replicated state (keyspace::StateHeader), the witness, and the next
// object id: written within the transaction of the keys they speak of, read back checked. Refuses to know of
// transactions and of keys.
#pragma once

#include "base/status.h"
#include "keyspace/keyspace.h"
#include "storage/key_store.h"
#include "storage/meta.h"

namespace leto::storage {

struct StateRows {
  keyspace::StateHeader header;
  Witness witness;
  uint64_t next_object = 1;   // Only rises: a flush that failed leaves a gap.
};

// What is missing keeps its default: a file made just now has none of them.
base::Status read_state(Database& database, Meta& meta, StateRows& state);
// Within the caller's transaction: SQLITE_OK or an error.
int write_state(Meta& meta, const StateRows& state);
int write_witness_rows(Meta& meta, const Witness& witness);

}  // namespace leto::storage
