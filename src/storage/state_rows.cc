// Header, witness and next object id as rows of `meta`; see state_rows.h.
#include "storage/state_rows.h"

#include <sqlite3.h>

#include <charconv>
#include <string>
#include <utility>

namespace leto::storage {

namespace {

constexpr size_t kDigestDigits = 32;

// Two halves of 16 hexadecimal digits.
bool parse_digest(const std::string& text, keyspace::Digest& digest) {
  if (text.size() != kDigestDigits || text.find_first_not_of("0123456789abcdef") != std::string::npos) {
    return false;
  }
  const char* middle = text.data() + kDigestDigits / 2;
  std::from_chars(text.data(), middle, digest.high, 16);
  std::from_chars(middle, middle + kDigestDigits / 2, digest.low, 16);
  return true;
}

}  // namespace

base::Status read_state(Database& database, Meta& meta, StateRows& state) {
  base::Status status = database.check_tables({"sqlite_schema", "meta", "databases"});
  keyspace::StateHeader& header = state.header;
  std::string digest(kDigestDigits, '0');
  meta.read("applied_index", header.applied_index, status);
  meta.read("applied_term", header.applied_term, status);
  meta.read("cluster_time_ms", header.cluster_time_ms, status);
  meta.read("hash_seed", header.hash_seed, status);
  meta.read("configuration", header.configuration, status);
  meta.read("configuration_index", header.configuration_index, status);
  meta.read("digest", digest, status);
  meta.read("witness_index", state.witness.index, status);
  meta.read("witness_term", state.witness.term, status);
  meta.read("next_object", state.next_object, status);
  // A file of before there were levels is of the first.
  meta.read("semantics_level", header.semantics_level, status);
  // As is one of before databases could be flushed.
  meta.read("next_namespace", header.databases.next_space, status);
  if (status.is_ok() && !parse_digest(digest, header.digest)) {
    status = base::Status::error(database.path() + ": damaged: the digest in table meta is none");
  }
  return status;
}

int write_state(Meta& meta, const StateRows& state) {
  const keyspace::StateHeader& header = state.header;
  const std::pair<const char*, uint64_t> numbers[] = {
      {"applied_index", header.applied_index},     {"applied_term", header.applied_term},
      {"cluster_time_ms", header.cluster_time_ms}, {"hash_seed", header.hash_seed},
      {"configuration_index", header.configuration_index}, {"next_object", state.next_object},
      {"semantics_level", header.semantics_level}, {"next_namespace", header.databases.next_space},
  };
  int code = meta.set("configuration", header.configuration);
  for (const auto& [name, value] : numbers) {
    if (code == SQLITE_OK) code = meta.set(name, value);
  }
  if (code == SQLITE_OK) code = meta.set("digest", header.digest.hex());
  return code == SQLITE_OK ? write_witness_rows(meta, state.witness) : code;
}

int write_witness_rows(Meta& meta, const Witness& witness) {
  const int code = meta.set("witness_index", witness.index);
  return code == SQLITE_OK ? meta.set("witness_term", witness.term) : code;
}

}  // namespace leto::storage
