// The handlers that the command table names; one file for each family. Private to command/.
#pragma once

#include "command/context.h"

namespace leto::command {

// string.cc
void get_command(Context& context);
void set_command(Context& context);
void incr_command(Context& context);

// generic.cc
void del_command(Context& context);
void exists_command(Context& context);
void rename_command(Context& context);
void renamenx_command(Context& context);

// database.cc
inline constexpr std::string_view kNoSuchDatabase = "ERR DB index is out of range";
inline bool is_database(int64_t index) { return index >= 0 && index < int64_t{keyspace::kDatabases}; }
void dbsize_command(Context& context);
void flushall_command(Context& context);
void flushdb_command(Context& context);
void swapdb_command(Context& context);
// What is wrong with the arguments, whatever the state is; empty if nothing.
std::string flush_refusal(Arguments arguments);
std::string swap_refusal(Arguments arguments);

// connection.cc
void ping_command(Context& context);
void echo_command(Context& context);
void select_command(Context& context);
void auth_command(Context& context);
void hello_command(Context& context);
void quit_command(Context& context);
void reset_command(Context& context);
void readonly_command(Context& context);
void readwrite_command(Context& context);

// transaction.cc: as exec_arguments() made it; a client's own EXEC has no handler.
void exec_command(Context& context);

// transaction_commands.cc
void discard_command(Context& context);
void multi_command(Context& context);
void unwatch_command(Context& context);
void watch_command(Context& context);

// client.cc
void client_getname_command(Context& context);
void client_help_command(Context& context);
void client_id_command(Context& context);
void client_info_command(Context& context);
void client_list_command(Context& context);
void client_setinfo_command(Context& context);
void client_setname_command(Context& context);
// False if the name has a byte that Redis does not allow in one.
bool is_client_name(std::string_view name);

// config.cc
void config_get_command(Context& context);
void config_help_command(Context& context);
void config_resetstat_command(Context& context);
void config_rewrite_command(Context& context);
void config_set_command(Context& context);

// introspection.cc
void command_command(Context& context);
void command_count_command(Context& context);
void command_docs_command(Context& context);
void command_getkeys_command(Context& context);
void command_getkeysandflags_command(Context& context);
void command_help_command(Context& context);
void command_info_command(Context& context);
void command_list_command(Context& context);

// server.cc
void info_command(Context& context);
void role_command(Context& context);
void shutdown_command(Context& context);

// debug.cc
void debug_command(Context& context);

// cluster.cc
void join_command(Context& context);
void leave_command(Context& context);
void snapshot_command(Context& context);
void transfer_command(Context& context);

// subcommand.cc: runs the subcommand that the request names. REQUIRES: check_request() let it pass.
void run_subcommand(Context& context);

// A help text as Redis gives it: its first line, the lines, and what it says of HELP.
void reply_help(Context& context, std::span<const std::string_view> lines);

}  // namespace leto::command
