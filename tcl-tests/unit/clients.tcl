# Who is let in, how long a client may stay, and how much it may make the node hold.

# The node's own address on another interface than loopback: what another machine would use.
proc outside_address {} {
    foreach address [split [exec hostname -I]] { if {[regexp {^\d+\.\d+\.\d+\.\d+$} $address]} { return $address } }
    skip "this machine has no address but loopback"
}

proc ipv6_or_skip {} {
    if {[catch {socket -server {apply {args {}}} -myaddr ::1 0} channel]} { skip "no IPv6 here" }
    chan close $channel
}

test "protected mode refuses clients of other addresses with a sentence that helps" {
    set address [outside_address]
    set node [start_node -host ""]
    set connection [resp::open $node::port($node) $address]
    set refusal [resp::read_to_end $connection]
    assert_match $refusal "-DENIED *requirepass*\r\n"
    assert_match $refusal "*protected-mode no*"
    # This very machine is refused, too, at such an address.
    assert_match $refusal "*loopback*"
    assert_equal [ask [connect $node] PING] PONG
}

test "with a password, or with protected-mode no, clients of other addresses are served" {
    set address [outside_address]
    set node [start_node -host "" -options {-requirepass secret}]
    set connection [resp::open $node::port($node) $address]
    assert_match [ask $connection GET a] "-NOAUTH Authentication required."
    assert_equal [ask $connection AUTH secret] OK
    assert_equal [ask $connection GET a] (nil)
    set node [start_node -host "" -options {-protected-mode no}]
    assert_equal [ask [resp::open $node::port($node) $address] PING] PONG
    assert_equal [node_ask $node CONFIG SET protected-mode yes] OK
    assert_match [resp::read_to_end [resp::open $node::port($node) $address]] "-DENIED *"
}

test "requirepass and CONFIG SET requirepass ask new clients for it" {
    set node [start_node]
    set before [connect $node]
    assert_equal [ask $before AUTH x] "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
    assert_equal [ask $before CONFIG SET requirepass secret] OK
    set after [resp::open $node::port($node)]
    assert_match [ask $after GET a] "-NOAUTH *"
    assert_match [ask $after AUTH nope] "-WRONGPASS *"
    assert_equal [ask $after AUTH default secret] OK
    assert_equal [ask $after GET a] (nil)
}

test "more clients than maxclients are told so, and served again once one left" {
    set node [start_node]
    assert_equal [node_ask $node CONFIG SET maxclients 3] OK
    set second [connect $node]
    set third [connect $node]
    assert_equal [ask $third PING] PONG
    assert_equal [ask $second PING] PONG
    assert_equal [resp::read_to_end [connect $node]] "-ERR max number of clients reached\r\n"
    resp::close $second
    wait_for_condition "a client is let in again" 5000 {[ask [connect $node] PING] eq "PONG"}
}

test "an idle client is closed after timeout seconds, a busy one is not" {
    set node [start_node -options {-timeout 1}]
    set idle [connect $node]
    set busy [connect $node]
    assert_equal [ask $idle PING] PONG
    set started [clock milliseconds]
    wait_for_condition "the idle client is closed" 6000 {[ask $busy PING] eq "PONG" && $resp::eof($idle)}
    assert {[clock milliseconds] - $started >= 900} "closed after [expr {[clock milliseconds] - $started}] ms"
    assert_equal [ask $busy PING] PONG
}

test "a unix socket serves, and is gone after the stop" {
    set path [file join $harness::directory leto.sock]
    set node [start_node -options [list -unixsocket $path -unixsocketperm 700]]
    wait_for_condition "the socket is there" 5000 {[file exists $path]}
    assert_equal [process::run [list redis-cli -s $path SET a b]] [list "exit 0" "OK\n" ""]
    assert_equal [process::run [list redis-cli -s $path GET a]] [list "exit 0" "b\n" ""]
    assert_equal [mode_of $path] 700
    assert_equal [lindex [stop $node] 0] "exit 0"
    assert {![file exists $path]}
}

test "IPv6 addresses are listened on, with and without others" {
    ipv6_or_skip
    set node [start_node -host {[::1]} -nowait]
    wait_for_condition "it answers over IPv6" 5000 {[ask [resp::open $node::port($node) ::1] PING] eq "PONG"}
    assert {![port_open $node::port($node) 127.0.0.1]}
    set node [start_node -host ""]
    assert_equal [ask [resp::open $node::port($node) ::1] PING] PONG
    assert_equal [ask [resp::open $node::port($node) 127.0.0.1] PING] PONG
}

# A connection that reads nothing, with `count` requests for a large value sent.
proc stall {node count} {
    set stalled [connect $node]
    chan event $resp::channel($stalled) readable {}
    for {set i 0} {$i < $count} {incr i} { if {[catch {resp::send $stalled GET big}]} break }
    return $stalled
}

proc client_lines {connection} { return [split [string trim [call $connection CLIENT LIST]] \n] }

test "a client that does not read is closed at its output buffer limit, the others are served" {
    set node [start_node]
    call_node $node CONFIG SET client-output-buffer-limit "normal 4mb 0 0"
    set reader [connect $node]
    wait_for_condition "it takes writes" 5000 {[ask $reader SET big [string repeat x 9000000]] eq "OK"}
    set stalled [stall $node 1]
    wait_for_condition "the stalled client is closed" 5000 {[llength [client_lines $reader]] <= 2}
    assert_equal [ask $reader GET missing] (nil)
}

test "clients that do not read cost a bounded amount of memory, whatever they ask for" {
    set node [start_node]
    set reader [connect $node]
    wait_for_condition "it takes writes" 5000 {[ask $reader SET big [string repeat x 1000000]] eq "OK"}
    for {set i 0} {$i < 5} {incr i} { stall $node 200 }
    set most 0
    for {set i 0} {$i < 20} {incr i} {
        assert_equal [ask $reader GET missing] (nil)
        foreach line [client_lines $reader] {
            regexp { omem=(\d+) } $line -> bytes
            set most [expr {max($most, $bytes)}]
        }
        pause 10
    }
    assert {$most <= 70000000} "the output of one client came to $most bytes"
    if {$sanitizer::name ne ""} {
        note "the process's memory is not looked at: the $sanitizer::name sanitizer holds what was freed, and books of its own"
    } else {
        assert {[dict get [info_of $node memory] used_memory_rss] < 500000000}
    }
}

test "a client that sends more than its query buffer limit is closed without a reply" {
    set node [start_node]
    call_node $node CONFIG SET client-query-buffer-limit 1mb
    set sender [connect $node]
    catch {resp::write $sender "*3\r\n\$3\r\nSET\r\n\$1\r\na\r\n\$4000000\r\n[string repeat x 3000000]"}
    wait_for_condition "the sender is closed" 5000 {$resp::eof($sender)}
    assert_equal $resp::buffer($sender) ""
    assert_equal [node_ask $node PING] PONG
}

test "a bulk above proto-max-bulk-len is refused before it is taken" {
    set node [start_node]
    call_node $node CONFIG SET proto-max-bulk-len 1mb
    set sender [connect $node]
    resp::write $sender "*2\r\n\$4\r\nECHO\r\n\$1048577\r\n"
    assert_equal [resp::read_to_end $sender] "-ERR Protocol error: invalid bulk length\r\n"
    set sender [connect $node]
    assert_equal [string length [ask $sender ECHO [string repeat x 1048576]]] 1048576
}

test "more than 1048576 arguments are refused" {
    set sender [connect [start_node]]
    resp::write $sender "*1048577\r\n"
    assert_equal [resp::read_to_end $sender] "-ERR Protocol error: invalid multibulk length\r\n"
}

proc round_trip {connection size} {
    set value [string repeat "0123456789abcdef\r\n\x00\xff" [expr {$size / 20}]]
    assert_equal [ask $connection SET big $value] OK
    assert {[ask $connection GET big] eq $value} "a value of $size bytes comes back as it was"
}

test "large values and wide commands go through whole" {
    set connection [connect [start_node -options [list -request-timeout [scaled 5000] -disk-stall-timeout [scaled 800]]]]
    round_trip $connection 5000000
    round_trip $connection 20000000
    set requests [list DEL]
    for {set i 0} {$i < 20000} {incr i} { lappend requests key:$i }
    assert_equal [ask $connection {*}$requests] 0
    assert_equal [ask $connection EXISTS {*}[lrepeat 5000 big]] 5000
}

test "CLIENT commands name, number and list the connections" {
    set node [start_node]
    set one [connect $node]
    set two [connect $node]
    assert {[call $two CLIENT ID] > [call $one CLIENT ID]}
    assert_equal [call $one CLIENT SETNAME first] OK
    assert_equal [call $one CLIENT SETINFO LIB-NAME lib] OK
    assert_equal [call $one CLIENT SETINFO LIB-VER 1.2] OK
    assert_equal [call $one CLIENT GETNAME] first
    set line [lsearch -inline [split [call $two CLIENT LIST] \n] "id=[call $one CLIENT ID] *"]
    foreach field {"addr=127.0.0.1:*" "laddr=127.0.0.1:$node::port($node)*" "name=first" "db=0" "cmd=*" "resp=2" "lib-name=lib" "lib-ver=1.2" "age=*" "idle=*" "flags=N"} {
        assert_match " $line " "* [subst $field] *"
    }
    assert_equal [ask $one CLIENT SETINFO nonsense x] "-ERR Unrecognized option 'nonsense'"
}

test "CONFIG GET takes names and globs, CONFIG SET what CONFIG GET gave" {
    set node [start_node]
    set all [call_node $node CONFIG GET *]
    foreach name {listen raftbind raftdir maxclients timeout requirepass protected-mode loglevel save appendonly port} { assert {[dict exists $all $name]} "CONFIG GET * has $name" }
    assert_equal [call_node $node CONFIG GET port] [list port $node::port($node)]
    assert_equal [lsort [dict keys [call_node $node CONFIG GET timeout maxclients]]] {maxclients timeout}
    foreach {name value} [call_node $node CONFIG GET {*max*} timeout loglevel client-output-buffer-limit request-timeout] {
        if {$name in {max-entry-bytes}} continue  ;# May not be changed.
        assert_equal [node_ask $node CONFIG SET $name $value] OK "CONFIG SET $name $value"
    }
    foreach {name value} [call_node $node CONFIG GET {save} appendonly] {
        assert_equal [node_ask $node CONFIG SET $name $value] OK "CONFIG SET $name $value"
    }
    assert_match [node_ask $node CONFIG SET listen :1] "-ERR CONFIG SET failed*can't set immutable config"
    assert_equal [call_node $node CONFIG GET timeout] {timeout 0}
    assert_match [node_ask $node CONFIG SET timeout 5 maxclients nonsense] "-ERR *"
    assert_equal [call_node $node CONFIG GET timeout] {timeout 0} "a CONFIG SET that fails changes nothing"
}

test "INFO has the fields that tools read, in sections that can be chosen" {
    set node [start_node]
    call_node $node SET a b
    set all [info_of $node everything]
    foreach field {redis_version redis_mode process_id tcp_port uptime_in_seconds connected_clients blocked_clients maxclients used_memory
        used_memory_rss maxmemory mem_allocator lazyfree_pending_objects rdb_bgsave_in_progress aof_rewrite_in_progress
        total_commands_processed total_error_replies instantaneous_ops_per_sec keyspace_hits keyspace_misses expired_keys role
        connected_slaves db0 loading} { assert {[dict exists $all $field]} "INFO has $field" }
    assert_equal [dict get $all db0] "keys=1,expires=0,avg_ttl=0"
    assert_equal [dict get $all process_id] $node::pid($node)
    assert_equal [dict get $all tcp_port] $node::port($node)
    foreach field {id role term leader leader_address commit_index applied_index durable_index last_index} { assert {[dict exists [info_of $node raft] $field]} "INFO raft has $field" }
    assert_equal [lsort [regexp -all -inline -line {^# \w+} [call_node $node INFO clients keyspace]]] {{# Clients} {# Keyspace}}
    call_node $node GET missing
    call_node $node CONFIG RESETSTAT
    assert_equal [dict get [info_of $node stats] keyspace_misses] 0
}

test "CONFIG SET maxclients raises the limit of open files, or says that it cannot" {
    set node [start_node]
    assert_equal [call_node $node CONFIG SET maxclients 40000] OK
    regexp {Max open files +(\S+)} [read_file /proc/$node::pid($node)/limits] -> files
    assert {$files eq "unlimited" || $files > 40000 || [regexp {may open \d+ files, so fewer clients} [log_of $node]]} "$files files"
}

test "an error of the protocol is counted as an answer that is an error" {
    set node [start_node]
    set connection [connect $node]
    resp::write $connection "*1\r\n\$x\r\n"
    assert_equal [resp::read_to_end $connection] "-ERR Protocol error: invalid bulk length\r\n"
    set stats [info_of $node stats]
    assert_equal [dict get $stats total_error_replies] 1
    assert_equal [dict get $stats protocol_errors] 1
    assert_equal [dict get [info_of $node errorstats] errorstat_ERR] count=1
}

test "INFO tells the longest turn and when it ended; CONFIG RESETSTAT forgets it, be it the very last one" {
    set node [start_node]
    set connection [connect $node]
    # So many keys are looked up in one turn.
    set exists [concat EXISTS [lrepeat 300000 missing]]
    set before [clock milliseconds]
    assert_equal [ask $connection {*}$exists] 0
    pause 50
    set stats [info_of $node stats]
    set longest [dict get $stats loop_turn_cpu_usec_max]
    set at [dict get $stats loop_turn_cpu_max_at_msec]
    assert {$at >= $before && $at <= [clock milliseconds]} "it ended at $at"
    pause 50
    assert_equal [dict get [info_of $node stats] loop_turn_cpu_max_at_msec] $at "none was longer meanwhile"
    assert_equal [ask $connection {*}$exists] 0
    assert_equal [ask $connection CONFIG RESETSTAT] OK
    set after [dict get [info_of $node stats] loop_turn_cpu_usec_max]
    assert {$after < $longest / 2} "$after us, $longest us before"
}
